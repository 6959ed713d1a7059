"""What `transport.control.ControlPlane` is on a real connection: asked and answered at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from jetmesh import wire
from jetmesh.errors import BrokerError
from jetmesh.testing.simulation.api import ask
from jetmesh.testing.simulation.log import Kept
from jetmesh.testing.simulation.refused import Refused
from jetmesh.testing.simulation.server import Server
from jetmesh.testing.simulation.subjects import matches
from jetmesh.transport.stored import ApiError, PubAck, StoredMessage


class Control:
    """The control plane of one process."""

    def __init__(self, server: Server, name: str = "control") -> None:
        self.name = name
        self.problem = ""
        """Why nothing can be asked, in words; set it to have every call fail."""
        self._server = server

    @property
    def max_payload(self) -> int:
        return self._server.max_payload

    async def close(self) -> None:
        """End the connection."""
        self.problem = "closed"

    async def api(
        self, subject: str, body: Mapping[str, Any] | None = None, *, timeout: float = 5.0
    ) -> dict[str, Any]:
        """Ask `$JS.API.<subject>`.

        Raises:
            ApiError: the server refused; `err_code` says why.
            BrokerError: no answer.
        """
        del timeout  # the answer is there at once, or never
        self._check(subject)
        try:
            return ask(self._server, subject, body or {})
        except Refused as refused:
            raise ApiError(subject, refused.reason) from refused

    async def check_server(self) -> None:
        """It has all that decisions need."""

    async def user(self) -> str:
        """Whom the server takes us for."""
        return ""

    async def publish(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None
    ) -> PubAck:
        """Store one message.

        Raises:
            ApiError: the stream refused it.
            BrokerError: no stream takes the subject, or no answer.
        """
        self._check(subject)
        stream = self._server.of_subject(subject)
        if stream is None:
            raise BrokerError(f"No stream takes {subject!r}.")
        try:
            stored = stream.publish(subject, wire.block(headers) if headers else b"", payload)
        except Refused as refused:
            raise ApiError(subject, refused.reason) from refused
        return PubAck(stream.name, *stored)

    async def last(self, stream: str, subject: str) -> StoredMessage | None:
        """The newest message whose subject matches."""
        return self._found(stream, lambda log: log.last_on(subject))

    async def message(self, stream: str, sequence: int) -> StoredMessage | None:
        """One message by its sequence."""
        return self._found(stream, lambda log: log.get(sequence))

    async def first(self, stream: str, subject: str, *, since: int = 1) -> StoredMessage | None:
        """The first message on a subject, from `since` on."""
        return self._found(stream, lambda log: log.next_on(subject, since))

    async def forget(self, stream: str, subject: str, *, before: int = 0) -> None:
        """Remove what is stored on the subjects that match."""
        await self.api(f"STREAM.PURGE.{stream}", {"filter": subject, "seq": before})

    async def holders(self, subject: str) -> list[str]:
        """The names of the streams that take something of what `subject` matches."""
        return list((await self.api("STREAM.NAMES", {"subject": subject}))["streams"])

    async def subjects(self, stream: str, matching: str) -> dict[str, int]:
        """On which subjects something is stored, with how many messages."""
        info = await self.api(f"STREAM.INFO.{stream}", {"subjects_filter": matching})
        return dict(info["state"]["subjects"])

    async def consumers(self, stream: str) -> list[dict[str, Any]]:
        """Everything that reads a stream."""
        return list((await self.api(f"CONSUMER.LIST.{stream}"))["consumers"])

    async def count(self, stream: str, subjects: Sequence[str], *, first: int = 1) -> int:
        """How many messages are stored now, from sequence `first` on, whose subjects match."""
        return len([each async for each in self.history(stream, subjects, first=first)])

    async def history(
        self, stream: str, subjects: Sequence[str], *, first: int = 1, headers_only: bool = False
    ) -> AsyncIterator[StoredMessage]:
        """Everything stored now that matches, from sequence `first` on, in order."""
        await self.api(f"STREAM.INFO.{stream}")
        for kept in self._server.stream(stream).log:
            wanted = not subjects or any(matches(each, kept.subject) for each in subjects)
            if wanted and kept.sequence >= first:
                message = kept.of(stream)
                yield _without_payload(message) if headers_only else message

    async def subscribe(self, subject: str, answer: Callable[[str], Awaitable[bytes]]) -> None:
        """Nobody asks in a simulation."""

    def _found(self, stream: str, find: Callable[[Any], Kept | None]) -> StoredMessage | None:
        self._check(stream)
        held = self._server.streams.get(stream)
        kept = find(held.log) if held else None
        return kept.of(stream) if kept else None

    def _check(self, about: str) -> None:
        if self.problem:
            raise BrokerError(f"{about}: no answer ({self.problem}).")


def _without_payload(message: StoredMessage) -> StoredMessage:
    place = message.stream, message.sequence, message.subject
    return StoredMessage(*place, message.headers, b"", message.stored_ns)
