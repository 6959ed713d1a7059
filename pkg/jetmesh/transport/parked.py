"""Which keys of ordered handlers wait, behind which message, and how many messages (ADR-0036)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from jetmesh.declare import Handler, unescape_key
from jetmesh.protocol.cursors import Cursor, cursor_of
from jetmesh.protocol.streams import cursor_stream, lane_stream
from jetmesh.protocol.subjects import cursor_subject, waits_subject
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import if_exists

MOST: Final = 20
"""So many keys of a handler are looked at one by one."""
_KEY_AT: Final = 3


@dataclass(frozen=True, slots=True)
class Waiting:
    """One key of an ordered handler that does not go on by itself for now."""

    service: str
    handler: str
    subject: str
    """Of its messages."""
    stream: str
    token: str
    done: int
    """The sequence up to where it is done."""
    failed: int
    """The sequence of the one that failed; 0 when it is being handled."""

    @property
    def key(self) -> str:
        return unescape_key(self.token)

    @property
    def behind(self) -> str:
        """`PURCHASES:7`, which the others wait for; empty when it is none that failed."""
        return f"{self.stream}:{self.failed}" if self.failed else ""

    @property
    def place(self) -> str:
        """`PURCHASES:6`, up to where the key is done."""
        return f"{self.stream}:{self.done}"

    @property
    def first(self) -> int:
        """From which sequence on the messages are that wait."""
        return max(self.failed, self.done) + 1


async def cursor(control: ControlPlane, service: str, handler: str, token: str) -> Cursor | None:
    """How far a handler is with a key; None when that is not known.

    Raises:
        BrokerError: no answer.
    """
    subject = cursor_subject(service, handler, token)
    stored = await if_exists(control.last(cursor_stream(service), subject))
    try:
        return cursor_of(stored.payload) if stored else None
    except msgspec.DecodeError:  # somebody else wrote it: its handler says so
        return None


async def waiting_keys(
    control: ControlPlane, handler: Handler, *, most: int = MOST
) -> tuple[int, list[Waiting]]:
    """How many keys wait, and the first `most` of them.

    Raises:
        BrokerError: no answer.
    """
    places = waits_subject(handler.service, handler.name, "*")
    subjects = await if_exists(control.subjects(lane_stream(handler.service), places)) or {}
    found: list[Waiting] = []
    gone = 0
    for subject in sorted(subjects)[:most]:
        token = subject.split(".")[_KEY_AT]
        known = await cursor(control, handler.service, handler.name, token)
        if known is None or not known.is_open:
            gone += 1  # it went on, and nobody has looked after it yet
        else:
            found.append(_waiting(handler, token, known))
    return len(subjects) - gone, found


async def how_many(control: ControlPlane, waiting: Waiting) -> int:
    """How many messages wait.

    Raises:
        BrokerError: no answer, or who asks may not.
    """
    subject = f"{waiting.subject}.{waiting.token}"
    return await control.count(waiting.stream, [subject], first=waiting.first)


def _waiting(handler: Handler, token: str, known: Cursor) -> Waiting:
    return Waiting(
        handler.service,
        handler.name,
        handler.input.subject,
        handler.input.stream,
        token,
        known.done.sequence,
        known.away.sequence if known.away else 0,
    )
