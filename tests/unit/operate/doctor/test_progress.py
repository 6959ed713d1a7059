"""Progress of durables: who does not pull, what stands still, what grows, and what is only busy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jetmesh.operate.asking.answers import (
    DurableConfig,
    Endpoint,
    Position,
)
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.finding import Finding
from tests.unit.operate.doctor.doctored import (
    DURABLE,
    ID,
    flow,
    instance,
    said,
)

LONG_AGO = Position(consumer_seq=5, stream_seq=5, last_active=said(-600))
SINCE_A_WHILE = Position(consumer_seq=5, stream_seq=5, last_active=said(-25))
NOBODY: dict[str, Any] = {"instances": ()}


def codes(several: list[Finding]) -> list[str]:
    return [each.code for each in several]


def test_the_service_that_does_not_pull_is_named_with_its_own_words() -> None:
    messages_wait = {"num_waiting": 0, "num_pending": 12}
    error = "ValueError: no shelf"
    failing = instance(endpoints=[Endpoint("take", num_errors=3, last_error=error)])
    (finding,) = findings(flow(messages_wait, instances=(failing,)))
    assert finding.sentence == f"Nobody pulls {ID}, where 12 messages wait."
    assert "its last error: ValueError: no shelf" in finding.evidence
    (finding,) = findings(flow(messages_wait, **NOBODY))
    assert "no instance of desk answers" in finding.evidence


def test_a_service_that_is_at_it_need_not_pull() -> None:
    """All requests are used up by what is in flight."""
    assert findings(flow({"num_waiting": 0, "num_pending": 12, "num_ack_pending": 80})) == []


def test_one_look_is_not_enough_to_accuse_a_running_service() -> None:
    messages_wait = flow({"num_waiting": 0, "num_pending": 12})
    assert codes(findings(messages_wait)) == ["nobody-pulls"]
    assert codes(findings(replace(messages_wait, before=None))) == []


def test_messages_that_came_just_now_do_not_stand_still() -> None:
    """The durable was idle for ten minutes because there was nothing."""
    idle = {"delivered": LONG_AGO, "ack_floor": LONG_AGO}
    assert codes(findings(flow({"num_pending": 5, **idle}, idle))) == []
    assert codes(findings(flow({"num_pending": 5, **idle}))) == ["stands-still"]


def test_after_a_change_of_leader_only_what_was_seen_counts() -> None:
    unknown = Position(5, 5)
    still = flow({"num_pending": 5, "delivered": unknown, "ack_floor": unknown})
    assert codes(findings(still)) == []
    later = replace(still, now=replace(still.now, at=100.0))
    assert codes(findings(later)) == ["stands-still"]


def test_a_burst_that_is_worked_off_is_no_growing_lag() -> None:
    """90 more wait, and 200 a second are handled."""
    handled = Position(1005, 1005, said(-1))
    assert findings(flow({"num_pending": 100, "delivered": handled}, {"num_pending": 10})) == []


def test_a_growing_lag_says_what_comes_and_what_is_handled() -> None:
    handled = Position(55, 55, said(-1))
    grown = flow({"num_pending": 600, "delivered": handled}, {"num_pending": 100})
    (finding,) = [each for each in findings(grown) if each.code == "lag-grows"]
    assert finding.evidence[0] == "+500 in 5 s: 110 a second arrive, 10 are handled"


def test_full_speed_may_take_all_places() -> None:
    taken = {"num_pending": 9, "num_ack_pending": 100}
    moves = Position(105, 105, said(-1))
    assert findings(flow(taken | {"ack_floor": moves, "delivered": moves}, taken)) == []


def test_a_few_redeliveries_are_everyday_life() -> None:
    assert findings(flow({"num_redelivered": 9, "num_ack_pending": 9})) == []
    assert findings(flow({"num_redelivered": 40, "num_ack_pending": 90})) == []
    assert codes(findings(flow({"num_redelivered": 100, "num_ack_pending": 900}))) == [
        "redelivered"
    ]


def test_a_durable_without_a_limit_has_no_places_to_take() -> None:
    free = DurableConfig(durable_name=DURABLE[1], max_ack_pending=-1)
    assert findings(flow({"config": free, "num_pending": 1, "num_ack_pending": 9})) == []


# services
