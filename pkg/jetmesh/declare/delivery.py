"""What a handler may know about the attempt it is making."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class Delivery(Protocol):
    """One attempt to handle one message; `jetmesh.testing.delivery` makes one for a test."""

    @property
    def handler(self) -> str:
        """`<service>.<handler>`, as logs and `jetmesh trace` call it."""

    @property
    def attempt(self) -> int:
        """1 for the first. A first one may still be a repetition: a lost ack starts again at 1."""

    @property
    def key(self) -> str:
        """The event's key, unescaped; empty for an event without one."""

    @property
    def cause(self) -> str:
        """`<stream>:<sequence>-<nanoseconds>` of the message, when it was stored, since 1970.

        Unique, also when its stream is deleted and made again, and the same in every attempt.
        """

    @property
    def correlation(self) -> str:
        """What ties the events of a story together: the message's `Correlation-Id`, or its key."""

    @property
    def stored_at(self) -> datetime:
        """When the broker stored the message, in UTC."""

    @property
    def now(self) -> datetime:
        """The time, in UTC, the same throughout an attempt: stories and rehearsals move it."""

    @property
    def deadline(self) -> datetime:
        """When this attempt is given up, in UTC."""

    @property
    def log(self) -> FilteringBoundLogger:
        """A structlog logger with service, handler, key, cause and attempt bound."""


@dataclass(frozen=True, slots=True)
class Record:
    """Where a read model's event stands in history."""

    stream: str
    sequence: int
    """Grows with every message of its stream; the same each time history is read."""
    subject: str
    stored_at: datetime
    message_id: str
    """Empty if typed by hand; else `<service>:<handler>:`, the `cause` of the delivery that led to
    it, and `:<subject>`."""
