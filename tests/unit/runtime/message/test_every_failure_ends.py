"""A failing message ends after its attempts, also where its retries do not fit on the lane."""

from __future__ import annotations

import pytest

from jetmesh import Delivery, Policy, Retry
from jetmesh.testing import eventually
from tests.unit.runtime.message.desk import Desk, Placed, origin
from tests.unit.runtime.message.wire import Ack, Nak, Published, Term

ATTEMPTS = 3


def too_large_for_the_lane(sent: Published) -> None:
    if sent.subject.startswith("lanes."):
        sent.impossible()
    else:
        sent.stored()


def broken(told: list[int], *, counts: bool = True, attempts: int = ATTEMPTS) -> Desk:
    def look(placed: Placed, about: Delivery) -> None:
        told.append(about.attempt)
        raise ValueError("broken") if counts else Retry("not yet", after=0.01, counts=False)

    desk = Desk(look, policy=Policy(attempts=attempts))
    desk.wire.fate = too_large_for_the_lane
    return desk


async def settled(desk: Desk) -> None:
    await eventually(lambda: not desk.in_flight)


async def deliver_until_it_ends(
    desks: list[Desk], *, on_lane: bool = False, failed: int = 0
) -> int:
    """Let one replica after another take a message, as the server does; how many runs it took."""
    for number in range(1, 50):
        desk = desks[number % len(desks)]
        if on_lane:
            desk.deliver_on_lane(number=number, origin=origin(1, attempts=failed))
        else:
            desk.deliver(number=number)
        await settled(desk)
        if not isinstance(desk.wire.verdicts[-1], Nak):
            return number
    pytest.fail("it never ended")


@pytest.mark.parametrize("failed", [0, 1, 2])
async def test_on_the_lane_it_ends_after_the_attempts_that_it_has_left(failed: int) -> None:
    told: list[int] = []
    desk = broken(told)
    assert await deliver_until_it_ends([desk], on_lane=True, failed=failed) == ATTEMPTS - failed
    assert told == [*range(failed + 1, ATTEMPTS + 1)]
    assert isinstance(desk.wire.verdicts[-1], Term)
    assert desk.wire.published[-1].headers["Jetmesh-Attempts"] == str(ATTEMPTS)


@pytest.mark.parametrize("on_lane", [False, True])
@pytest.mark.parametrize("replicas", [3, 9])
async def test_with_several_replicas_it_ends_after_twice_its_attempts_at_the_most(
    replicas: int, *, on_lane: bool
) -> None:
    told: list[int] = []
    desks = [broken(told) for _ in range(replicas)]
    runs = await deliver_until_it_ends(desks, on_lane=on_lane)
    assert runs <= 2 * ATTEMPTS
    letters = [m for desk in desks for m in desk.wire.published if m.subject.startswith("dead")]
    assert len(letters) == 1
    assert letters[0].headers["Jetmesh-Attempts"] == str(told[-1])


@pytest.mark.parametrize("on_lane", [False, True])
async def test_processes_that_all_forget_do_not_keep_it_alive(*, on_lane: bool) -> None:
    told: list[int] = []
    runs = await deliver_until_it_ends([broken(told) for _ in range(50)], on_lane=on_lane)
    assert (runs, set(told)) == (2 * ATTEMPTS, {1})


def test_a_retry_that_does_not_count_goes_on_for_as_long_as_its_author_wants() -> None:
    told: list[int] = []
    desk = broken(told, counts=False)
    for number in range(1, 12):
        desk.deliver_on_lane(number=number, origin=origin(1, attempts=1))
    assert [type(each) for each in desk.wire.verdicts] == [Nak] * 11
    assert told == [2] * 11


def test_failures_that_are_known_are_no_lost_deliveries() -> None:
    """Only what nobody can explain runs alone."""
    told: list[int] = []
    desk = broken(told, attempts=9)
    for number in range(1, 8):
        desk.deliver(number=number)
    assert told == [*range(1, 8)]


async def test_a_letter_that_cannot_be_stored_does_not_begin_the_count_again() -> None:
    told: list[int] = []
    desk = broken(told)
    desk.wire.fate = Published.impossible
    for number in range(1, 7):
        desk.deliver(number=number)
        await settled(desk)
    assert told == [1, 2, 3, 3, 3, 3]
    desk.wire.fate = too_large_for_the_lane
    desk.deliver(number=7)
    await settled(desk)
    assert isinstance(desk.wire.verdicts[-1], Term)
    assert Ack not in {type(each) for each in desk.wire.verdicts}
