"""What a trace says of an event that came later, or was to come in the past."""

from __future__ import annotations

import pytest

from jetmesh.operate.deadlines.told import came_later
from jetmesh.protocol.headers import MESSAGE_ID
from jetmesh.protocol.ids import Cause
from jetmesh.protocol.times import nanoseconds_of
from jetmesh.transport.stored import StoredMessage

NOON = nanoseconds_of("2026-01-01T12:00:00Z")
AT_ONCE = "it came at once: its time was less than a second away, or had passed"


def note(seconds: float, effect: str = "later:_:tickets.overdue.t-1") -> tuple[str, ...]:
    cause = Cause("desk", "wait", "TICKETS", "5", NOON)
    stored = NOON + round(seconds * 1e9)
    headers = {MESSAGE_ID: cause.id(effect)}
    return came_later(StoredMessage("OVERDUE", 9, "tickets.overdue.t-1", headers, b"", stored))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (900, "it came when its time had come, 15 min after TICKETS:5"),
        (1.5, "it came when its time had come, 1.5 s after TICKETS:5"),
        (0.2, AT_ONCE),
        (-0.2, AT_ONCE),  # two servers' clocks
    ],
)
def test_the_time_since_it_was_asked_for_is_told(seconds: float, said: str) -> None:
    assert note(seconds) == (said,)


def test_nothing_is_told_of_what_came_at_once_as_usual() -> None:
    assert note(900, "tickets.overdue.t-1") == ()


def test_a_message_that_was_named_before_times_were_says_only_that_it_came_later() -> None:
    headers = {MESSAGE_ID: "desk:wait:TICKETS:5:later:_:tickets.overdue.t-1"}
    message = StoredMessage("OVERDUE", 9, "tickets.overdue.t-1", headers, b"", NOON)
    assert came_later(message) == ("it came when its time had come",)
