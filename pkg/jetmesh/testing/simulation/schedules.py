"""Schedules: a message that waits in its stream until it is due, then another one is stored."""

from __future__ import annotations

from typing import Final

from jetmesh import wire
from jetmesh.protocol import headers as header
from jetmesh.protocol.times import nanoseconds_of

_AT: Final = "@at "
_SCHEDULER: Final = "Nats-Scheduler"
_NEXT: Final = "Nats-Schedule-Next"
_ROLLUP: Final = b"Nats-Rollup: sub\r\n"
_LOST: Final = frozenset(
    name.lower()
    for name in (
        header.MESSAGE_ID,
        header.EXPECTED_SEQUENCE,
        header.EXPECTED_ON,
        header.SCHEDULE,
        header.SCHEDULE_TARGET,
        "Nats-Rollup",
    )
)
"""Headers of a schedule that what it fires does not have."""


def due_at(values: dict[str, str]) -> int | None:
    """When a schedule is due, in nanoseconds since 1970; None for any other message.

    Raises:
        ValueError: it is a schedule that cannot be read.
    """
    told = values.get(header.SCHEDULE)
    if told is None:
        return None
    if not told.startswith(_AT):
        raise ValueError(told)
    return nanoseconds_of(told.removeprefix(_AT))


def with_rollup(headers: bytes) -> bytes:
    """The headers as they are stored: it replaced what was on its subject, and says so."""
    return headers[:-2] + _ROLLUP + b"\r\n"


def fired(headers: bytes, schedule_subject: str) -> bytes:
    """The headers of what a schedule stores: its own are kept, the server's are not.

    So it has no message id, and no guard.
    """
    values = wire.parse(headers, exact=True).values
    kept = {name: value for name, value in values.items() if name.lower() not in _LOST}
    return wire.block({**kept, _SCHEDULER: schedule_subject, _NEXT: "purge"})
