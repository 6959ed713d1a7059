"""One delivery between its arrival and its verdict."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import structlog

from jetmesh import wire
from jetmesh.declare import Delivery, escape_key, key_of
from jetmesh.errors import ContractViolation
from jetmesh.run.logs import About

if TYPE_CHECKING:
    from jetmesh.run.consumer import Consumer

_BEFORE_NUMBERS: Final = 6
"""Tokens of $JS.ACK.domain.account.stream.durable, as ADR-15 has it."""


class Delivered:
    """A delivery in flight; it waits for its outputs to be stored (`seam.Waiter`)."""

    __slots__ = (
        "consumer",
        "event",
        "headers",
        "meta",
        "payload",
        "pending",
        "published",
        "received",
        "reply",
        "rest",
        "sequence",
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
        self.received = received
        start = consumer.ack_start
        if reply.startswith(start):
            numbers = reply[len(start) :]
        else:  # a server that puts its domain before the stream
            numbers = reply.split(b".", _BEFORE_NUMBERS)[-1]
        self.meta = numbers.split(b".", 2)
        """Number of the delivery, sequence in the stream, and the rest, which is seldom read."""
        self.sequence = self.meta[1]
        self.event = event
        """None when it could not be read."""
        self.published: Any = None
        """The decision that is on its way, to be sent again should it turn out undecided."""
        self.rest: list[Any] | None = None
        """Outputs to publish once the decision is stored."""
        self.pending = 0
        """Outputs on their way."""

    @property
    def attempt(self) -> int:
        return int(self.meta[0])

    @property
    def cause(self) -> str:
        return f"{self.consumer.handler.input.stream}:{self.sequence.decode()}"

    @property
    def stored_at(self) -> datetime:
        nanoseconds = int(self.meta[2].split(b".", 2)[1])
        return datetime.fromtimestamp(nanoseconds / 1e9, UTC)

    @property
    def key(self) -> str:
        """The event's key; empty when it has none or could not be read."""
        return key_of(self.consumer.handler.input, self.event) if self.event is not None else ""

    @property
    def key_token(self) -> str:
        """The key as a token of a subject, `_` when there is none."""
        try:
            return escape_key(self.key)
        except ContractViolation:
            return "_"

    # seam.Waiter

    def on_stored(self) -> None:
        self.pending -= 1
        if not self.pending:
            self.consumer.on_stored(self)

    def on_decided(self) -> None:
        self.consumer.on_decided(self)

    def on_impossible(self, reason: str) -> None:
        self.consumer.on_impossible(self, reason)


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
        left = self._from.consumer.policy.timeout - (perf_counter() - self._from.received)
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
