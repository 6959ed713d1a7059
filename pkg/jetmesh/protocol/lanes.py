"""Lanes: where one handler's slow retries and replayed dead letters arrive, and nobody else's.

A message on a lane stands for another one, its origin, and says so in headers: what its handler
publishes has the origin as its cause, so an outcome that is stored already is not repeated
(ADR-0009).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from jetmesh.protocol import headers as header
from jetmesh.protocol.ids import is_number, token_of
from jetmesh.protocol.streams import is_stream
from jetmesh.protocol.times import is_same_time, nanoseconds_of, time_at, time_text

_AT: Final = "@at "
_UNCARRIED: Final = frozenset(" \t\r\n")


class Origin(NamedTuple):
    """The message for which one on a lane stands."""

    subject: str
    stream: str
    sequence: str
    stored: int
    """When the server stored it, in nanoseconds since 1970."""
    attempts: int = 0
    replays: int = 0
    noted: str = ""
    """Where a state knows that it comes again: `<subject>:<sequence>`; empty where none does."""
    line: str = ""
    """What it is to its key, where a handler keeps order; empty where none does."""

    @property
    def place(self) -> str:
        """`ORDERS:5`, where it stood."""
        return f"{self.stream}:{self.sequence}"

    @property
    def token(self) -> str:
        """`<sequence>-<nanoseconds>`: no other message of the stream ever had it."""
        return token_of(self.sequence, self.stored)

    @property
    def stored_at(self) -> datetime:
        return time_at(self.stored)

    def is_same(self, other: Origin) -> bool:
        """Whether both are one message, whatever became of it meanwhile."""
        where = (self.stream, self.sequence) == (other.stream, other.sequence)
        return where and is_same_time(self.stored, other.stored)

    def headers(self) -> dict[str, str]:
        """What a message on a lane says about it."""
        written = {
            header.SUBJECT: self.subject,
            header.STREAM: self.stream,
            header.SEQUENCE: self.sequence,
            header.STORED_AT: time_text(self.stored),
            header.ATTEMPTS: str(self.attempts),
        }
        if self.replays:
            written[header.REPLAYS] = str(self.replays)
        if self.noted:
            written[header.NOTED] = self.noted
        if self.line:
            written[header.LINE] = self.line
        return written


def origin_of(headers: Mapping[str, str]) -> Origin:
    """Read what `Origin.headers` wrote; a dead letter has the same headers.

    Raises:
        ValueError: one of the headers is missing or not what it says it is, as in a message
            typed by hand.
    """
    try:
        return Origin(
            _subject(headers[header.SUBJECT]),
            _stream(headers[header.STREAM]),
            str(_number(header.SEQUENCE, headers[header.SEQUENCE])),
            nanoseconds_of(headers[header.STORED_AT]),
            _number(header.ATTEMPTS, headers.get(header.ATTEMPTS, "0")),
            _number(header.REPLAYS, headers.get(header.REPLAYS, "0")),
            headers.get(header.NOTED, ""),
            headers.get(header.LINE, ""),
        )
    except KeyError as error:
        raise ValueError(f"the header {error} is missing") from error


def schedule(target: str, at: datetime) -> dict[str, str]:
    """The headers that make the server deliver a message on `target` at a time (ADR-51)."""
    return {
        header.SCHEDULE: f"{_AT}{at.astimezone(UTC).isoformat().replace('+00:00', 'Z')}",
        header.SCHEDULE_TARGET: target,
    }


def scheduled_at(headers: Mapping[str, str]) -> str:
    """The time that `schedule` wrote, in ISO 8601; empty when the message is due."""
    return headers.get(header.SCHEDULE, "").removeprefix(_AT)


def _number(name: str, text: str) -> int:
    if not is_number(text):
        raise ValueError(f"{name} is no number: {text[:40]!r}")
    return int(text)


def _stream(text: str) -> str:
    if not is_stream(text):
        raise ValueError(f"{header.STREAM} is no name of a stream: {text[:40]!r}")
    return text


def _subject(text: str) -> str:
    """A subject on which a message can be stored."""
    tokens = text.split(".")
    if not all(tokens) or {"*", ">"}.intersection(tokens) or _UNCARRIED.intersection(text):
        raise ValueError(f"{header.SUBJECT} is no subject: {text[:40]!r}")
    return text
