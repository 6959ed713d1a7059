"""A run of a handler: its time, what it costs others, and what cuts it short."""

from __future__ import annotations

import asyncio

import pytest

from jetmesh import Delivery, Duration, Policy
from jetmesh.testing import eventually
from tests.unit.runtime.message.desk import Accepted, Desk, Placed, all_that_can_run
from tests.unit.runtime.message.wire import Ack, Nak

SHORT = Policy(timeout=Duration(0.01), attempts=1)


async def test_an_effect_that_takes_longer_than_its_timeout_has_failed() -> None:
    ended = ""

    async def charge(placed: Placed) -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended = "cancelled"
            raise

    desk = Desk(charge, policy=SHORT)
    desk.deliver()
    await eventually(lambda: desk.wire.published)
    (letter,) = desk.wire.published
    assert letter.headers["Jetmesh-Error"] == "TimeoutError"
    assert letter.headers["Jetmesh-Message"] == "not done within 10ms"
    assert ended == "cancelled"


async def test_what_a_timeout_of_its_own_says_is_kept() -> None:
    async def charge(placed: Placed) -> None:
        raise TimeoutError("the gateway was too slow")

    desk = Desk(charge, policy=SHORT)
    desk.deliver()
    await eventually(lambda: desk.wire.published)
    assert desk.wire.published[0].headers["Jetmesh-Message"] == "the gateway was too slow"


async def test_the_time_of_a_run_begins_when_it_may_begin() -> None:
    left: list[float] = []
    free = asyncio.Event()

    async def charge(placed: Placed, about: Delivery) -> None:
        if placed.order_id == "first":
            await free.wait()
        deadline = about.deadline.timestamp()
        left.append(deadline)

    desk = Desk(charge, policy=Policy(concurrency=1, timeout=Duration(20)))
    desk.deliver(Placed("first"), 1)
    desk.deliver(Placed("second"), 2)
    await all_that_can_run()
    began = desk.consumer.in_flight[b"1"].began
    assert desk.consumer.in_flight[b"2"].began < began
    free.set()
    await eventually(lambda: not desk.in_flight)
    assert left[1] > left[0]


async def test_an_effect_that_waits_for_its_turn_is_given_back_without_a_run() -> None:
    runs: list[str] = []

    async def charge(placed: Placed) -> None:
        runs.append(placed.order_id)
        await asyncio.Event().wait()

    desk = Desk(charge, policy=Policy(concurrency=1))
    desk.deliver(Placed("first"), 1)
    desk.deliver(Placed("second"), 2)
    await eventually(lambda: runs)
    await desk.consumer.stop()
    assert await desk.consumer.give_back() == 2
    assert runs == ["first"]
    assert {type(each) for each in desk.wire.verdicts} == {Nak}
    assert desk.stats.failed == 0


async def test_a_failed_effect_makes_way_for_the_next_one() -> None:
    runs: list[str] = []

    async def charge(placed: Placed) -> None:
        runs.append(placed.order_id)
        if placed.order_id == "broken":
            raise ValueError
        if placed.order_id == "gone":
            raise asyncio.CancelledError

    desk = Desk(charge, policy=Policy(concurrency=1))
    desk.deliver(Placed("broken"), 1)
    desk.deliver(Placed("gone"), 2)
    reply = desk.deliver(Placed("fine"), 3)
    await eventually(lambda: not desk.in_flight)
    assert runs == ["broken", "gone", "fine"]
    assert desk.wire.verdicts[-1] == Ack(reply)
    assert desk.consumer.runner.tasks == set()


@pytest.mark.parametrize("error", [ValueError("closed"), SystemExit(1), asyncio.CancelledError()])
async def test_an_effect_that_a_stop_cuts_short_is_given_back_whatever_it_makes_of_that(
    error: BaseException,
) -> None:
    async def charge(placed: Placed) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise error from None

    desk = Desk(charge)
    reply = desk.deliver()
    await all_that_can_run()
    await desk.consumer.stop()
    assert await desk.consumer.give_back() == 1
    (verdict,) = desk.wire.sent
    assert isinstance(verdict, Nak)
    assert (verdict.reply, desk.stats.failed) == (reply, 0)


async def test_an_effect_that_fails_while_a_stop_lets_it_finish_has_failed() -> None:
    go = asyncio.Event()

    async def charge(placed: Placed) -> None:
        await go.wait()
        raise ValueError

    desk = Desk(charge, policy=Policy(attempts=1))
    desk.deliver()
    await all_that_can_run()
    await desk.consumer.stop()
    go.set()
    await eventually(lambda: desk.wire.published)
    assert desk.stats.failed == 1


async def test_an_effect_that_does_not_let_itself_be_cancelled_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jetmesh.runtime.message.runner._CANCEL_SECONDS", 0.01)
    free = asyncio.Event()

    async def charge(placed: Placed) -> Accepted:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue
        return Accepted(placed.order_id)

    desk = Desk(charge)
    desk.deliver()
    await all_that_can_run()
    await desk.consumer.stop()
    assert await desk.consumer.give_back() == 1
    free.set()
    await eventually(lambda: not desk.consumer.runner.tasks)
    for output in desk.wire.pending:
        output.stored()
    assert [type(each) for each in desk.wire.verdicts] == [Nak]
