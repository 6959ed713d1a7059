"""What a handler may know about the attempt it is making."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to handle one message."""

    attempt: int
    """1 for the first. A first one may still be a repetition: a lost ack starts again at 1."""
    key: str
    """The event's key, unescaped; empty for an event without one."""
    cause: str
    """`<stream>:<sequence>` of the message: unique, and the same in every attempt."""
    correlation: str
    """What ties the events of one story together: the message's `Correlation-Id`, or its key."""
    stored_at: datetime
    """When the broker stored the message, in UTC."""
    deadline: datetime
    """When this attempt is given up, in UTC."""
    log: Any = field(repr=False)
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
    """`<service>:<handler>:<stream>:<sequence of the input>:<subject>`; empty if typed by hand."""
