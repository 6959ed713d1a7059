"""Deadlines: events that come later, and the alarms that the server rings for them (ADR-0035).

An alarm is a schedule on the service's lane stream. When it is due the server puts it on the lane
of the handler that asked for it. It stands there for the message that this handler had, and says in
a header which deadline it is about.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, Self

import msgspec
from msgspec import Raw, Struct

from jetmesh.protocol import headers as header
from jetmesh.protocol.ids import LATER, Cause, cause_of
from jetmesh.protocol.lanes import Origin, schedule
from jetmesh.protocol.subjects import lane_subject
from jetmesh.protocol.times import time_at

_DEADLINES: Final = "deadlines"
_CANCELLED: Final = "cancelled"
_NAMELESS: Final = "_"
_IN_LANES: Final = 7
"""So many tokens has the subject of an alarm; nothing else on a lane stream has as many."""


class Deadline(NamedTuple):
    """Which one: of its service, an event and a key have one of each name."""

    event: str
    """The event's subject, without the key."""
    key: str
    """Escaped."""
    name: str = _NAMELESS
    """Escaped, by `name_token`."""

    @property
    def text(self) -> str:
        """As a header says it."""
        return " ".join(self)

    @property
    def subject(self) -> str:
        """Where its event is published."""
        return f"{self.event}.{self.key}"

    @property
    def effect(self) -> str:
        """What the message id of its event says: of one cause several may have one subject."""
        return f"{self.mark}:{self.subject}"

    @property
    def mark(self) -> str:
        """What stands in that id before the subject."""
        return f"{LATER}{self.name}"

    def alarm(self, service: str, at: int = 0) -> str:
        """Where its alarm waits; one place each time (`at`) where a state tells which one counts.

        Without `at` there is one place, where a new alarm replaces the old one.
        """
        event = self.event.replace(".", "%2E")
        return lane_subject(service, _DEADLINES, f"{event}.{self.key}.{self.name}.{at or '_'}")


def deadline_of(text: str) -> Deadline:
    """What `Deadline.text` wrote.

    Raises:
        ValueError: it is none.
    """
    parts = text.split(" ")
    if len(parts) != len(Deadline._fields) or not all(parts):
        raise ValueError(f"{header.DEADLINE} names none: {text[:40]!r}")
    return Deadline(*parts)


def alarms_of(service: str, event: str = "*", key: str = "*") -> str:
    """Where all alarms of a service wait, or those of an event or a key."""
    return lane_subject(service, _DEADLINES, f"{event.replace('.', '%2E')}.{key}.*.*")


def deadline_at(subject: str) -> tuple[str, Deadline] | None:
    """The service and the deadline whose alarm waits on a subject; None for any other subject."""
    tokens = subject.split(".")
    if len(tokens) != _IN_LANES or tokens[2] != _DEADLINES:
        return None
    return tokens[1], Deadline(tokens[3].replace("%2E", "."), tokens[4], tokens[5])


def name_token(escaped: str) -> str:
    """The token of a deadline's name, which is escaped as a key is, or empty."""
    if escaped == _NAMELESS:
        return "%5F"
    return escaped.replace(":", "%3A") or _NAMELESS


def alarm(deadline: Deadline, target: str, origin: Origin, due: int) -> dict[str, str]:
    """The headers that make the server ring for a deadline at a time, in nanoseconds since 1970.

    `target` is the lane where it rings, `origin` the message that asked for it.
    """
    return {
        **origin._replace(subject=deadline.subject, attempts=0, replays=0).headers(),
        header.DEADLINE: deadline.text,
        **schedule(target, time_at(due)),
    }


def cancelled_subject(service: str) -> str:
    """Where it is said that an alarm is needed no more; only the newest such word is kept."""
    return f"{lane_subject(service, _CANCELLED, '')}".rstrip(".")


def cancelling(alarm_subject: str) -> dict[str, str]:
    """The headers with which the server removes an alarm when it stores their message."""
    return {
        header.SCHEDULER: alarm_subject,
        header.SCHEDULE_NEXT: header.PURGE,
        header.ROLLUP: header.ROLLUP_SUBJECT,
    }


class Pending(Struct, array_like=True, frozen=True):
    """A deadline that a state keeps: it counts, not the alarm that wakes for it."""

    event: str
    key: str
    name: str
    due: int
    """In nanoseconds since 1970."""
    rings: int
    """When its alarm rings: not later, and earlier where it was postponed since."""
    id: str
    """The message id of its event."""
    payload: Raw
    version: int = 1
    """Of the event's type."""
    trace: dict[str, str] = {}
    """Headers by which its alarm and its event stay in the trace of the message that asked for it;
    empty while nothing is traced."""

    @property
    def deadline(self) -> Deadline:
        """Which one it is."""
        return Deadline(self.event, self.key, self.name)

    @property
    def origin(self) -> Origin:
        """The message that asked for it."""
        cause = cause_of(self.id) or Cause("", "", "", "0")
        return Origin(self.deadline.subject, cause.stream, cause.sequence, cause.stored)

    @property
    def handler(self) -> str:
        """Which one asked for it."""
        cause = cause_of(self.id)
        return cause.handler if cause else ""

    def postponed(self, rings: int) -> Self:
        """The same with another alarm."""
        return msgspec.structs.replace(self, rings=rings)


_pending = msgspec.json.Decoder(tuple[Pending, ...])
_encode = msgspec.json.Encoder().encode


def pending_text(pending: Iterable[Pending]) -> str:
    """As a header says it."""
    return _encode(tuple(pending)).decode()


def pending_of(text: str) -> tuple[Pending, ...]:
    """What `pending_text` wrote.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _pending.decode(text) if text else ()
