"""Schedules: a message that waits in its stream until it is due, then another one is stored."""

from __future__ import annotations

from typing import Final

from jetmesh import wire
from jetmesh.protocol import headers as header
from jetmesh.protocol.times import nanoseconds_of

_AT: Final = "@at "
_LOST: Final = frozenset(
    name.lower()
    for name in (
        header.MESSAGE_ID,
        header.EXPECTED_SEQUENCE,
        header.EXPECTED_ON,
        header.SCHEDULE,
        header.SCHEDULE_TARGET,
        header.ROLLUP,
    )
)
"""Headers of a schedule that what it fires does not have."""


def due_at(schedule: str) -> int:
    """When a schedule is due, in nanoseconds since 1970.

    Raises:
        ValueError: it cannot be read, or comes again and again, which is not simulated.
    """
    if not schedule.startswith(_AT):
        raise ValueError(schedule)
    return nanoseconds_of(schedule.removeprefix(_AT))


def with_rollup(headers: bytes) -> bytes:
    """The headers as they are stored: a schedule replaces what was on its subject, and says so."""
    return headers[:-2] + f"{header.ROLLUP}: {header.ROLLUP_SUBJECT}\r\n\r\n".encode()


def fired(headers: bytes, schedule_subject: str) -> bytes:
    """The headers of what a schedule stores: its own are kept, the server's are not.

    So it has no message id, and no guard. It says that its schedule is to go.
    """
    values = wire.parse(headers, exact=True).values
    kept = {name: value for name, value in values.items() if name.lower() not in _LOST}
    ended = {header.SCHEDULER: schedule_subject, header.SCHEDULE_NEXT: header.PURGE}
    return wire.block({**kept, **ended})
