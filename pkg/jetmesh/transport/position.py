"""Where a delivery stands, as its ack subject tells it."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from jetmesh.protocol.times import time_at

_PLAIN: Final = 9
"""Tokens of $JS.ACK.stream.consumer.delivered.sequence.number.time.pending; ADR-15 puts domain and
account before the stream, and one more token behind."""


class Position(NamedTuple):
    """What the last numbers of an ack subject say."""

    sequence: int
    """In the stream."""
    number: int
    """In the consumer: it grows by one, so a gap is a loss."""
    nanoseconds: int
    """When the broker stored the message, since 1970."""
    pending: int
    """Messages behind this one that the consumer has not delivered yet."""

    @property
    def stored_at(self) -> datetime:
        return time_at(self.nanoseconds)


def position_of(reply: bytes) -> Position:
    """Read the ack subject of a delivery.

    Raises:
        ValueError: it is none.
    """
    tokens = reply.split(b".")
    first = 5 if len(tokens) == _PLAIN else 7
    sequence, number, nanoseconds, pending = tokens[first : first + 4]
    return Position(int(sequence), int(number), int(nanoseconds), int(pending))
