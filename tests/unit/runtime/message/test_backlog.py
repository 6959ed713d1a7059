"""Slow handlers run in turns, hold no more than they can finish, and are quick again later."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from structlog.testing import capture_logs

from jetmesh import Duration, Policy
from jetmesh.runtime.message.backlog import BLOCKING_SECONDS, QUICK_SECONDS, Pace
from jetmesh.runtime.message.metrics import HandlerStats
from jetmesh.testing import eventually
from tests.unit.runtime.message.desk import Desk, Placed, all_that_can_run
from tests.unit.runtime.message.wire import Ack, Nak


class Slow:
    """A `def` handler that keeps the loop for as long as it is told to."""

    def __init__(self, seconds: float, policy: Policy | None = None) -> None:
        self.seconds = seconds
        self.runs: list[str] = []

        def look(placed: Placed) -> None:
            self.runs.append(placed.order_id)
            time.sleep(self.seconds)

        self.desk = Desk(look, policy=policy or Policy())
        self.desk.wire.turns.until = 0.0  # the turn is over as soon as somebody looks

    def deliver(self, count: int, first: int = 1) -> list[bytes]:
        return [self.desk.deliver(Placed(f"k-{n}"), n) for n in range(first, first + count)]

    @property
    def done(self) -> bool:
        return not self.desk.in_flight


def is_in_turns(slow: Slow) -> bool:
    return slow.desk.consumer._is_disturbed


async def test_what_arrives_behind_a_slow_call_waits_and_runs_in_its_order() -> None:
    slow = Slow(0.001)
    replies = slow.deliver(20)
    assert len(slow.runs) == 1
    await eventually(lambda: slow.done)
    assert slow.runs == [f"k-{number}" for number in range(1, 21)]
    assert slow.desk.wire.verdicts == [Ack(reply) for reply in replies]
    assert slow.desk.source.unsettled == 0


async def test_nothing_overtakes_what_waits() -> None:
    slow = Slow(0.001)
    slow.deliver(3)
    slow.desk.wire.turns.begin()  # another chunk arrives
    slow.deliver(1, first=4)
    assert len(slow.runs) == 1
    await eventually(lambda: slow.done)
    assert slow.runs == ["k-1", "k-2", "k-3", "k-4"]


async def test_it_holds_what_it_can_finish_well_within_ack_wait() -> None:
    slow = Slow(0.002, Policy(ack_wait=Duration(0.24), timeout=Duration(0.2)))
    numbers = itertools.count(1, 40)

    async def holds_about_a_sixth() -> bool:  # 20 calls; a busy machine may interrupt some
        slow.deliver(40, first=next(numbers))
        await eventually(lambda: slow.done)
        return 8 <= slow.desk.source.allowed <= 40

    await eventually(holds_about_a_sixth)
    assert slow.desk.lane.allowed <= slow.desk.source.allowed


async def test_a_handler_that_is_quick_again_runs_while_its_deliveries_arrive() -> None:
    slow = Slow(0.002)
    slow.deliver(20)
    await eventually(lambda: slow.done)
    assert is_in_turns(slow)
    slow.seconds = 0.0
    numbers = itertools.count(100, 100)

    async def is_quick() -> bool:  # a machine that is busy may interrupt any call
        slow.deliver(100, first=next(numbers))
        await eventually(lambda: slow.done)
        return not is_in_turns(slow)

    await eventually(is_quick)
    assert (slow.desk.source.allowed, slow.desk.lane.allowed) == (2048, 256)


async def test_what_waits_is_prolonged_and_given_back_at_a_stop() -> None:
    slow = Slow(0.001)
    replies = slow.deliver(5)
    slow.desk.consumer.keep_alive(time.perf_counter() + 60)
    assert slow.desk.wire.prolonged == replies[1:]
    await slow.desk.consumer.stop()
    assert [each.reply for each in slow.desk.wire.verdicts if isinstance(each, Nak)] == replies[1:]
    late = slow.deliver(1, first=6)  # it was on its way
    await all_that_can_run()
    assert len(slow.runs) == 1
    assert slow.desk.wire.verdicts[-1].reply == late[0]
    assert slow.done


async def test_what_waited_for_something_else_runs_in_turns_too() -> None:
    """As what arrived in a quarantine, which runs alone."""
    slow = Slow(0.0)
    slow.desk.deliver(Placed("suspect"), 1, number=4)
    slow.deliver(50, first=2)
    assert slow.runs == []
    await eventually(lambda: slow.done)
    assert slow.runs[0] == "suspect"
    assert slow.runs[1:] == [f"k-{number}" for number in range(2, 52)]


# verdicts are refused


@pytest.mark.parametrize("on_lane", [False, True])
async def test_nothing_runs_while_verdicts_are_refused(*, on_lane: bool) -> None:
    slow = Slow(0.0)
    slow.desk.wire.turns.begin()
    muted = slow.desk.lane if on_lane else slow.desk.source
    muted.mute("the user may not")
    replies = slow.deliver(3)
    await all_that_can_run()
    slow.desk.consumer.keep_alive(time.perf_counter() + 60)
    assert (slow.runs, slow.desk.wire.sent) == ([], [])
    muted.mute("")
    assert slow.desk.wire.prolonged == replies, "nothing was for some time"
    await eventually(lambda: slow.done)
    assert slow.runs == ["k-1", "k-2", "k-3"]


async def test_no_effect_runs_while_verdicts_are_refused_also_none_that_waited_for_a_slot() -> None:
    runs: list[str] = []
    free = asyncio.Event()

    async def look(placed: Placed) -> None:
        runs.append(placed.order_id)
        await free.wait()

    desk = Desk(look, policy=Policy(concurrency=1))
    for number in (1, 2):
        desk.deliver(Placed(f"k-{number}"), number)
    await eventually(lambda: runs)
    desk.source.mute("the user may not")
    desk.deliver(Placed("k-3"), 3)
    free.set()
    await eventually(lambda: desk.in_flight == 2)
    await all_that_can_run()
    assert runs == ["k-1"]
    desk.source.mute("")
    await eventually(lambda: not desk.in_flight)
    assert sorted(runs) == ["k-1", "k-2", "k-3"]


async def test_no_quarantine_runs_while_verdicts_are_refused() -> None:
    slow = Slow(0.0)
    slow.desk.source.mute("the user may not")
    slow.desk.deliver(Placed("suspect"), 1, number=4)
    await all_that_can_run()
    assert slow.runs == []
    slow.desk.source.mute("")
    await eventually(lambda: slow.done)
    assert slow.runs == ["suspect"]


async def test_what_waits_for_a_permission_is_given_back_at_a_stop() -> None:
    slow = Slow(0.0)
    slow.desk.source.mute("the user may not")
    slow.deliver(3)
    await slow.desk.consumer.stop()
    assert (slow.runs, slow.desk.in_flight) == ([], 0)


# its pace


def pace(ack_wait: float = 30.0) -> tuple[Pace, HandlerStats, list[int]]:
    stats = HandlerStats()
    changes: list[int] = []
    made = Pace("desk.look", ack_wait, stats, lambda: changes.append(made.limit))
    return made, stats, changes


def test_one_call_that_was_interrupted_makes_no_handler_slow() -> None:
    made, _, changes = pace()
    made.took(QUICK_SECONDS * 5)
    made.keeps_the_loop()
    assert not made.is_slow
    assert changes == []


def test_the_limit_follows_the_pace_and_only_when_it_changed_by_much() -> None:
    made, _, changes = pace(ack_wait=30)
    for _ in range(60):
        made.took(0.03)
        made.keeps_the_loop()
    assert 160 <= made.limit <= 330, "five seconds of calls, within a factor of two"
    assert len(changes) < 8
    for _ in range(60):
        made.took(60)
    assert made.limit == 1, "one is always asked for"
    for _ in range(200):
        made.took(0.00001)
    assert (made.is_slow, made.limit > 10**9) == (False, True)


def test_a_call_that_keeps_the_loop_is_counted_each_time_and_named_once_a_minute() -> None:
    made, stats, _ = pace()
    with capture_logs() as logged:
        for _ in range(5):
            made.took(BLOCKING_SECONDS * 2)
        made.took(BLOCKING_SECONDS / 2)
    assert stats.slow == 5
    (line,) = logged
    assert (line["event"], line["handler"]) == ("the handler keeps the event loop", "desk.look")
    assert "async def" in line["remedy"]
    assert "threads=4" in line["remedy"]
