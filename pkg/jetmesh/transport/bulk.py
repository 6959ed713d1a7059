"""Whole streams read fast, and read only: no consumer is made, nothing is acknowledged.

Batches of direct gets (ADR-31 of NATS) on a connection of our own wire: followers answer them, too,
and the server keeps nothing about who reads. Each message goes to a callback while its chunk is
read, so a million of them need no more memory than one chunk.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from typing import Final, Self, TypeAlias

import msgspec

from jetmesh import wire
from jetmesh.declare import Permissions
from jetmesh.declare.permissions import Action, denial
from jetmesh.errors import BrokerError, BrokerUnreachable
from jetmesh.protocol.headers import LEFT_IN_BATCH, POSITION
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.handshake import NoServerError, connect_any
from jetmesh.transport.link import Link
from jetmesh.transport.servers import Servers
from jetmesh.transport.turns import Turns

Take: TypeAlias = Callable[[int, bytes, bytes, bytes], None]
"""Gets (sequence, subject, headers, payload) of each message, in order; headers as stored."""

_BATCH: Final = 5000
_BATCH_BYTES: Final = 8 * 1024 * 1024
"""The server gives up a client that has 64 MiB to read."""
_PATIENCE_SECONDS: Final = 2.0
_SILENCE_SECONDS: Final = 10.0
_BEHIND_SECONDS: Final = 0.3
_MOST_BEHIND: Final = 20
"""So often a follower may lack what its leader has."""
_SID: Final = b"1"
_END: Final = 204
_NONE: Final = 404
_STREAM, _SUBJECT, _SEQUENCE = (name.encode() for name in POSITION[:3])
_START: Final = b"%b: " % _STREAM
_position: Final = re.compile(
    rb"%b: [^\r\n]*\r\n%b: ([^\r\n]*)\r\n%b: (\d+)\r\n" % (_STREAM, _SUBJECT, _SEQUENCE)
)


class BulkReader:
    """`async with BulkReader(nats, control, name=…) as bulk:` connects, and does not come back.

    Who reads a stream once and is cut off says so: half an answer would look like a whole one.
    """

    def __init__(self, nats: NatsSettings, control: ControlPlane, *, name: str) -> None:
        self._nats = nats
        self._control = control
        """Asks the leader, where a follower has no more."""
        self._name = name
        self._inbox = f"{nats.inbox_prefix}.{secrets.token_hex(11)}".encode()
        self._link: Link | None = None
        self._take: Take = _drop
        self._sequence = self._last = 0
        """The last message that came, and that is wanted."""
        self._broken: BrokerError | None = None
        self._ended: asyncio.Future[wire.Headers] | None = None
        self._heard = 0

    async def __aenter__(self) -> Self:
        try:
            servers = Servers(self._nats)
            connection = await connect_any(
                servers, self._nats, self._name, patience=_PATIENCE_SECONDS
            )
        except NoServerError as error:
            raise BrokerUnreachable(
                f"No broker answers at {self._nats.url!r} ({error}).", remedy="Start it."
            ) from error
        self._link = Link(
            connection.info,
            {_SID: self._on_message},
            turns=Turns(),
            on_lost=self._on_lost,
            on_info=lambda _: None,
            on_denied=self._on_denied,
            on_writable=lambda: None,
        )
        connection.hand_to(self._link)
        self._link.send(wire.sub(self._inbox, _SID))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._link is not None:
            await self._link.close()

    async def read(self, stream: str, take: Take, *, first: int, last: int) -> None:
        """Give `take` what is stored from `first` to `last`; messages may be missing in between.

        Raises:
            BrokerError: the connection is lost, or nobody answers. What `take` raises comes out
                as it is.
        """
        self._take, self._sequence, self._last = take, first - 1, last
        behind, batch = 0, _BATCH
        while self._sequence < last:
            before = self._sequence
            end = await self._ask(stream, before + 1, min(batch, last - before))
            if end.status not in (_END, _NONE):
                raise BrokerError(f"{stream} cannot be read: {end.description or end.status}.")
            batch = _BATCH
            if self._sequence > before:
                behind = 0
            elif end.status == _END and end.values.get(LEFT_IN_BATCH, "0") != "0":
                batch = 1  # the next message is larger than all that a batch may have
            elif not await self._is_behind(stream, before + 1, last):
                return  # what stood there was removed
            else:
                behind += 1
                if behind > _MOST_BEHIND:
                    raise BrokerError(f"{stream} is not whole at the server that answers.")
                await asyncio.sleep(_BEHIND_SECONDS)

    async def _is_behind(self, stream: str, first: int, last: int) -> bool:
        """Whether the leader has something that who answered lacks."""
        found = await self._control.first(stream, ">", since=first)
        return found is not None and found.sequence <= last

    async def _ask(self, stream: str, first: int, batch: int) -> wire.Headers:
        """One batch; how it ended."""
        question: dict[str, object] = {"seq": first, "batch": batch}
        if batch > 1:
            question["max_bytes"] = _BATCH_BYTES
        return await self._request(f"DIRECT.GET.{stream}", question)

    async def _request(self, about: str, question: dict[str, object]) -> wire.Headers:
        assert self._link is not None  # noqa: S101 - it is entered
        if self._broken is not None:
            raise self._broken
        self._ended = asyncio.get_running_loop().create_future()
        subject = f"{self._nats.js_api}.{about}".encode()
        self._link.send(wire.pub(subject, msgspec.json.encode(question), self._inbox))
        while True:
            heard = self._heard
            done, _ = await asyncio.wait({self._ended}, timeout=_SILENCE_SECONDS)
            if done:
                return self._ended.result()
            if heard == self._heard:
                raise BrokerError(f"{about.rpartition('.')[2]} cannot be read: no answer.")

    def _on_message(self, _: bytes, __: bytes, headers: bytes, payload: bytes) -> None:
        self._heard += 1
        ended = self._ended
        if ended is None or ended.done():
            return  # it came too late
        start = headers.rfind(_START)
        found = _position.match(headers, start) if start > 0 else None
        if found is None:
            ended.set_result(wire.parse(headers))
            return
        try:
            self._sequence = sequence = int(found[2])
            if sequence <= self._last:
                self._take(sequence, found[1], headers[:start] + b"\r\n", payload)
        except BaseException as error:  # noqa: BLE001 - it belongs to who reads, not to the connection
            ended.set_exception(error)

    def _on_lost(self, reason: str) -> None:
        self._fail(BrokerError(f"The connection to the broker was lost: {reason}."))

    def _on_denied(self, action: Action, subject: str) -> None:
        line = Permissions().line_for(action, subject)
        remedy = f"Grant {line}, or be the operator."
        self._fail(BrokerError(f"The {denial(action, subject)}.", remedy=remedy))

    def _fail(self, error: BrokerError) -> None:
        self._broken = error
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)


def _drop(*_: object) -> None:
    """Nobody reads yet."""
