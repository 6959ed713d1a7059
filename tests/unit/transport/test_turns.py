"""The event loop is shared in turns: nobody keeps it, and whoever has much to do gets on."""

from __future__ import annotations

import asyncio
from time import perf_counter, sleep

import pytest

from jetmesh.testing import eventually
from jetmesh.transport.turns import TURN_SECONDS, Turns


class Counting:
    """So many pieces of work, each of which takes its time."""

    def __init__(self, pieces: int, seconds: float = 0.0) -> None:
        self.left = pieces
        self.seconds = seconds

    def __call__(self) -> bool:
        if self.seconds:
            sleep(self.seconds)
        self.left -= 1
        return self.left > 0


async def test_work_is_done_in_turns_between_which_the_loop_has_time() -> None:
    turns, work = Turns(), Counting(8, TURN_SECONDS)
    turns.take(work)
    rounds = 0
    while work.left:
        before = work.left
        await asyncio.sleep(0)
        rounds += 1
        assert before - work.left <= 1
    assert rounds > 8 * 3, "an answer takes several rounds of the loop"


async def test_quick_work_is_done_many_at_a_time() -> None:
    turns, work = Turns(), Counting(1000)
    turns.take(work)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not work.left


async def test_all_who_have_work_have_their_turns() -> None:
    turns, many, few = Turns(), Counting(1_000_000), Counting(100)
    turns.take(many)
    turns.take(few)
    await eventually(lambda: not few.left)
    assert many.left
    many.left = 1
    await eventually(lambda: not many.left)


async def test_a_fault_in_one_ends_neither_its_own_work_nor_that_of_others() -> None:
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: told.append(str(context["exception"]))
    )
    turns, other = Turns(), Counting(3)
    left = [ValueError("first"), None]

    def work() -> bool:
        if error := left.pop(0):
            raise error
        return bool(left)

    turns.take(work)
    turns.take(other)
    await eventually(lambda: not left and not other.left)
    assert told == ["first"]


def test_a_turn_that_has_begun_is_over_after_its_time() -> None:
    turns = Turns()
    assert turns.is_over, "nobody had one yet"
    turns.begin()
    assert turns.until - perf_counter() == pytest.approx(TURN_SECONDS, abs=TURN_SECONDS)
    turns.until = perf_counter() - 1
    assert turns.is_over
