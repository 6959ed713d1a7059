"""The seam between `runtime/` and the network: synchronous, so that no message costs a coroutine.

`jetmesh.transport.dataplane` implements it on a real connection, with `transport.lookups` and
`transport.control` for what is asked beside messages; whatever else implements it must pass the
same conformance suite (ADR-0004).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

from jetmesh.transport.stored import PubAck, StoredMessage
from jetmesh.transport.turns import Turns

OnDelivery = Callable[[bytes, bytes, bytes, bytes], None]
"""(subject, reply, headers, payload) of one delivery; `reply` is what verdicts are sent to. It
raises ValueError or IndexError where that is none of its durable's.
"""

Message: TypeAlias = tuple[bytes, bytes, bytes]
"""Subject, headers, payload: a plain tuple, because one is made for every message."""


def utc_now() -> datetime:
    """The clock of whoever has a network."""
    return datetime.now(UTC)


class Waiter(Protocol):
    """Waits for the fate of one publish; exactly one of its methods is called, once."""

    def on_stored(self, answer: bytes) -> None:
        """The server stored the message; `answer` is its PubAck, or empty where its fate was found
        out another way.
        """

    def on_duplicate(self, message: Message, sequence: int) -> None:
        """The server has a message with this id already: the first one of it is `sequence`.

        Whose that is, and on which subject, the server does not look at; `message` is ours.
        """

    def on_decided(self) -> None:
        """A decision refused it (10071): the key has an outcome already, ours or another's."""

    def on_impossible(self, reason: str) -> None:
        """No server will ever store it, as when it is larger than its stream allows."""


class Inflow(Protocol):
    """The continuous pull of one durable."""

    @property
    def problem(self) -> str:
        """Why nothing can arrive, in words; empty when all is well."""

    @property
    def muted(self) -> str:
        """Why verdicts are refused, in words: run nothing until they are taken again."""

    @property
    def rests(self) -> bool:
        """Whether nothing arrived for half a minute, although nothing speaks against it."""

    def start(self) -> None:
        """Begin to pull."""

    def limit_to(self, limit: int) -> None:
        """Have at most `limit` deliveries asked for or unsettled, and no more than at first."""

    def check(self, reply: bytes) -> None:
        """Raises ValueError: no verdict on a delivery of this durable is sent there."""

    def settled(self) -> None:
        """One delivery has its verdict: there is room for another."""

    def stray(self, reply: bytes) -> None:
        """Something arrived that is no delivery."""

    def stop(self) -> None:
        """Pull no more; what the server sent already still arrives."""


class Transport(Protocol):
    """What a running service needs of the network, message by message."""

    turns: Turns
    """Who shares the event loop with what arrives."""

    def now(self) -> datetime:
        """The time, in UTC; whoever has no network may have a clock of its own, too."""

    @property
    def problem(self) -> str:
        """Why nothing can be sent, or stored, in words; empty when all is well."""

    @property
    def lookups(self) -> Looks:
        """What is asked about the streams."""

    def inflow(
        self,
        stream: str,
        durable: str,
        *,
        limit: int,
        first: int = 0,
        on_delivery: OnDelivery,
        on_gone: Callable[[str], None] | None = None,
        on_muted: Callable[[], None] | None = None,
    ) -> Inflow:
        """Pull from a durable, with at most `limit` deliveries asked for or unsettled.

        `first`: with how many it begins; 0 is all of them. `on_gone` hears that there is no such
        durable any more. `on_muted` is called when verdicts are refused, and when they are taken
        again.
        """

    def drop(self, inflow: Any, /) -> None:
        """Stop what `inflow` returned and forget it."""

    def publish(self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter) -> None:
        """Publish until its fate is known: again after every silence and passing refusal."""

    def ack(self, reply: bytes) -> None:
        """Settle a delivery: handled."""

    def retry(self, reply: bytes, delay: float) -> None:
        """Settle a delivery: again in `delay` seconds."""

    def terminate(self, reply: bytes, reason: str) -> None:
        """Settle a delivery: never again."""

    def progress(self, reply: bytes) -> None:
        """Keep a delivery for another ack_wait: its handler still works."""


class Looks(Protocol):
    """What is asked about the streams for a message: an answer is needed before it goes on."""

    def last(self, stream: str, subject: str) -> Awaitable[StoredMessage | None]:
        """The newest message whose subject matches.

        Raises:
            BrokerError: nobody knows.
        """

    def since(self, stream: str, subject: str, sequence: int) -> Awaitable[StoredMessage | None]:
        """The first message on a subject from a sequence on; raises as `last`."""

    def newest(self, stream: str, subject: str) -> Awaitable[StoredMessage | None]:
        """The newest message on a subject, as the leader knows it; raises as `last`."""


class Control(Protocol):
    """What a running service asks and says beside its messages."""

    async def api(
        self, subject: str, body: Mapping[str, Any] | None = None, *, timeout: float = 5.0
    ) -> dict[str, Any]:
        """Ask the JetStream API: CONSUMER.INFO, CONSUMER.RESET, STREAM.INFO, STREAM.PURGE.

        Raises:
            ApiError: it refuses.
            BrokerError: no answer.
        """

    async def last(self, stream: str, subject: str) -> StoredMessage | None:
        """The newest message whose subject matches."""

    async def first(self, stream: str, subject: str, *, since: int = 1) -> StoredMessage | None:
        """The first message on a subject, from a sequence on."""

    async def message(self, stream: str, sequence: int) -> StoredMessage | None:
        """One message by its sequence."""

    async def publish(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None
    ) -> PubAck:
        """Store a message."""

    async def forget(self, stream: str, subject: str, *, before: int = 0) -> None:
        """Remove what is stored on the subjects that match, with `before` up to a sequence."""
