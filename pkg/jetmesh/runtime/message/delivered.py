"""One delivery between its arrival and its verdict."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import structlog

from jetmesh import wire
from jetmesh.declare import Delivery, escape_key, key_of, unescape_key
from jetmesh.errors import ContractViolation
from jetmesh.protocol.lanes import Origin, origin_of
from jetmesh.protocol.streams import LANES
from jetmesh.runtime.logs import About

if TYPE_CHECKING:
    from jetmesh.runtime.message.consumer import Consumer
    from jetmesh.transport.seam import Inflow

_BEFORE_NUMBERS: Final = 6
"""Tokens of $JS.ACK.domain.account.stream.durable, as ADR-15 has it."""
_PLAIN: Final = 9
"""Tokens of an ack subject without a domain."""


class Delivered:
    """A delivery in flight; it waits for its outputs to be stored (`seam.Waiter`)."""

    __slots__ = (
        "began",
        "consumer",
        "event",
        "excuses",
        "failures",
        "headers",
        "meta",
        "payload",
        "pending",
        "published",
        "received",
        "reply",
        "rest",
        "sequence",
        "slot",
        "subject",
    )

    def __init__(
        self,
        consumer: Consumer,
        subject: bytes,
        reply: bytes,
        headers: bytes,
        payload: bytes,
        event: Any,
        received: float,
    ) -> None:
        self.consumer = consumer
        self.subject = subject
        self.reply = reply
        self.headers = headers
        self.payload = payload
        self.received = self.began = received
        start = consumer.ack_start
        if reply.startswith(start):
            numbers = reply[len(start) :]
        else:  # a server that puts its domain before the stream
            numbers = reply.split(b".", _BEFORE_NUMBERS)[-1]
        self.meta = numbers.split(b".", 2)
        """Number of the delivery, sequence in the stream, and the rest, which is seldom read."""
        self.slot = self.sequence = self.meta[1]
        """`slot` is the message's name among those in flight, `sequence` that of its origin."""
        self.event = event
        """None when it could not be read."""
        self.failures = 0
        """Attempts that failed before this one."""
        self.excuses = 0
        """How often it called its dependency away and was refuted by another one."""
        self.published: Any = None
        """The decision that is on its way, to be sent again should it turn out undecided."""
        self.rest: list[Any] | None = None
        """Outputs to publish once the decision is stored."""
        self.pending = 0
        """Outputs on their way."""

    @property
    def attempt(self) -> int:
        """This attempt's number, 1 for the first: failures count, lost deliveries do not."""
        return self.failures + 1

    @property
    def is_held(self) -> bool:
        """It has no verdict yet, and was not given back."""
        return self.consumer.verdicts.in_flight.get(self.slot) is self

    def is_same(self, other: Delivered) -> bool:
        """Whether both deliver one message: the sequence of a stream made again is used again."""
        return self.meta[2].split(b".", 2)[1] == other.meta[2].split(b".", 2)[1]

    @property
    def deliveries(self) -> int:
        """How often the server delivered the message, lost deliveries included."""
        return int(self.meta[0])

    @property
    def cause(self) -> str:
        return f"{self.origin.stream}:{self.origin.sequence}"

    @property
    def origin(self) -> Origin:
        """The message that somebody published, and how it went so far."""
        stream = self.consumer.handler.input.stream
        subject = self.subject.decode(errors="replace")
        return Origin(
            stream=stream,
            subject=subject,
            sequence=self.sequence.decode(),
            stored_at=self._arrived_at,
            attempts=self.failures,
        )

    @property
    def stored_at(self) -> datetime:
        return self.origin.stored_at

    on_lane = False
    """It comes from the handler's lane, not from its event's stream."""
    misread: ValueError | None = None
    """Why a message on the lane stands for no other: somebody typed it by hand."""

    @property
    def inflow(self) -> Inflow:
        """Where it came from, and where its verdict makes room."""
        return self.consumer.inflow

    @property
    def _arrived_at(self) -> datetime:
        nanoseconds = int(self.meta[2].split(b".", 2)[1])
        return datetime.fromtimestamp(nanoseconds / 1e9, UTC)

    @property
    def key(self) -> str:
        """The event's key, else the one that its subject tells; empty when neither does."""
        if self.event is not None:
            return key_of(self.consumer.handler.input, self.event)
        return unescape_key(self._token_of_subject)

    @property
    def key_token(self) -> str:
        """The key as a token of a subject, `_` when there is none."""
        if self.event is None:
            return self._token_of_subject or "_"
        try:
            return escape_key(self.key)
        except ContractViolation:
            return "_"

    @property
    def _token_of_subject(self) -> str:
        return self.origin.subject.partition(f"{self.consumer.handler.input.subject}.")[2]

    # seam.Waiter

    def on_stored(self) -> None:
        self.pending -= 1
        if not self.pending:
            self.consumer.on_stored(self)

    def on_decided(self) -> None:
        self.consumer.on_decided(self)

    def on_impossible(self, reason: str) -> None:
        self.consumer.on_impossible(self, reason)


class LaneDelivered(Delivered):
    """A delivery from the handler's lane: it stands for the message that it tells as its origin."""

    on_lane = True

    def __init__(
        self, consumer: Consumer, subject: bytes, reply: bytes, headers: bytes, payload: bytes
    ) -> None:
        super().__init__(consumer, subject, reply, headers, payload, None, perf_counter())
        before = 4 if reply.count(b".") < _PLAIN else _BEFORE_NUMBERS
        self.meta = reply.split(b".", before)[-1].split(b".", 2)
        self.slot = b"lane." + self.meta[1]
        try:
            self.told = origin_of(wire.parse(headers).values)
            if self.told.stream != consumer.handler.input.stream:
                raise ValueError(f"its origin is in {self.told.stream}")  # noqa: TRY301 - as if unread
        except ValueError as error:
            self.misread = error
            self.told = Origin(
                subject.decode(errors="replace"), LANES, self.meta[1].decode(), datetime.now(UTC)
            )
        self.sequence = self.told.sequence.encode()
        self.failures = self.told.attempts

    @property
    def origin(self) -> Origin:
        return self.told._replace(attempts=self.failures)

    @property
    def inflow(self) -> Inflow:
        return self.consumer.lane


class LiveDelivery(Delivery):
    """The `Delivery` of a running handler; nothing of it is computed before it is asked for."""

    def __init__(self, delivered: Delivered) -> None:
        self.__dict__["_delivered"] = delivered

    @cached_property
    def attempt(self) -> int:
        return self._from.attempt

    @property
    def _from(self) -> Delivered:
        delivered: Delivered = self.__dict__["_delivered"]
        return delivered

    @cached_property
    def key(self) -> str:
        return self._from.key

    @cached_property
    def cause(self) -> str:
        return self._from.cause

    @cached_property
    def correlation(self) -> str:
        headers = self._from.headers
        given = wire.parse(headers).values.get("Correlation-Id", "") if headers else ""
        return given or self._from.key

    @cached_property
    def stored_at(self) -> datetime:
        return self._from.stored_at

    @cached_property
    def deadline(self) -> datetime:
        left = self._from.consumer.policy.timeout - (perf_counter() - self._from.began)
        return datetime.now(UTC) + timedelta(seconds=left)

    @cached_property
    def log(self) -> Any:
        handler = self._from.consumer.handler
        return structlog.get_logger().bind(
            handler=handler.name,
            key=self.key,
            cause=self.cause,
            attempt=self.attempt,
            about=About(self._from.event),
        )
