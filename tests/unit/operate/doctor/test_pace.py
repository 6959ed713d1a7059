"""With a backlog in several places, the doctor names the one that all wait for."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Service, event
from jetmesh.declare import derive
from jetmesh.operate.asking.answers import Position
from jetmesh.operate.doctor.checks.pace import slowest
from jetmesh.operate.doctor.facts import Facts
from tests.unit.operate.doctor.doctored import Placed, durable, facts


@event("paced.checked", key="order_id")
class Checked(Struct, frozen=True):
    """What comes of the first stage."""

    order_id: str


@event("paced-out.paid", key="order_id")
class Paid(Struct, frozen=True):
    """What comes of the second one."""

    order_id: str


validation, payments = Service("validation"), Service("payments")


@validation.on(Placed)
async def check(placed: Placed) -> Checked:
    return Checked(placed.order_id)


@payments.on(Checked)
async def charge(checked: Checked) -> Paid:
    return Paid(checked.order_id)


CHECK, CHARGE = ("DOCTORED", "validation-check"), ("PACED", "payments-charge")


def position(sequence: int) -> Position:
    return Position(consumer_seq=sequence, stream_seq=sequence)


def backlog(**handled: tuple[int, int]) -> Facts:
    """What each handled in the five seconds between the looks, and what still waits."""
    names = {"check": CHECK, "charge": CHARGE}
    now, before = {}, {}
    for handler, (count, waiting) in handled.items():
        name = names[handler]
        now[name] = durable(
            name, delivered=position(count), ack_floor=position(count), num_pending=waiting
        )
        before[name] = durable(name, delivered=position(0), ack_floor=position(0))
    given: dict[str, Any] = {"topology": derive([validation, payments])}
    return facts({"durables": now}, {"durables": before}, **given)


def test_of_two_backlogs_the_one_that_is_worked_off_more_slowly_sets_the_pace() -> None:
    """Though more waits for the other one: what that hands on will wait here."""
    [found] = slowest(backlog(check=(1000, 18_000), charge=(630, 2_000)))
    assert found.sentence.startswith("payments sets the pace: charge handles 126 a second, and 2,0")
    assert "validation.check handles 200 a second, and 18,000 messages wait" in found.evidence
    assert "Run more instances of payments" in found.remedy
    assert (found.severity, found.about) == ("note", "PACED/payments-charge")


@pytest.mark.parametrize(
    "handled",
    [{"check": (1000, 0)}, {"check": (5000, 900)}, {"check": (0, 900)}, {"check": (1, 9)}],
    ids=["nothing waits", "a burst", "nothing moves, which others say", "hardly anything"],
)
def test_without_a_backlog_at_work_nobody_is_named(handled: dict[str, tuple[int, int]]) -> None:
    assert list(slowest(backlog(**handled))) == []


def test_one_look_shows_no_pace() -> None:
    now = {CHECK: durable(CHECK, delivered=position(9), num_pending=900)}
    seen = facts({"durables": now}, topology=derive([validation, payments]))
    assert list(slowest(Facts(seen.topology, seen.server, now=seen.now))) == []
