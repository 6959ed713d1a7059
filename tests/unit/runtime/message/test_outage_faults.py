"""An outage always ends: whatever its probe does, and whoever runs alone meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from jetmesh import Duration, Policy, Unavailable
from jetmesh.testing import eventually
from tests.unit.runtime.message.desk import QUICK, Desk, Placed, all_that_can_run
from tests.unit.runtime.message.wire import Ack, Nak, Term


def cancel_by_raising() -> None:
    raise asyncio.CancelledError


def cancel_the_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


@pytest.mark.parametrize("cancel", [cancel_by_raising, cancel_the_task])
async def test_a_probe_that_cancels_itself_ends_the_outage_and_has_failed(
    cancel: Callable[[], None],
) -> None:
    runs: list[str] = []

    async def look(placed: Placed) -> None:
        runs.append(placed.order_id)
        if len(runs) == 1:
            raise Unavailable("the gateway")
        if len(runs) == 2:
            cancel()
            await asyncio.sleep(0)

    desk = Desk(look, policy=Policy(backoff=Duration(0.1)))
    first = desk.deliver(Placed("a"), 1)
    await all_that_can_run()
    second = desk.deliver(Placed("b"), 2)
    await eventually(lambda: not desk.in_flight)
    assert runs == ["a", "a", "b"]
    assert desk.consumer.runner.outage.problem == ""
    failed, handled = desk.wire.verdicts
    assert isinstance(failed, Nak)
    assert (failed.reply, handled) == (first, Ack(second))
    assert desk.stats.last_error == "CancelledError: "


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(2), GeneratorExit(), ZeroDivisionError()]
)
async def test_a_probe_that_ends_in_anything_else_ends_the_outage(error: BaseException) -> None:
    errors: list[BaseException] = [Unavailable("the gateway"), error]

    async def look(placed: Placed) -> None:
        if errors:
            raise errors.pop(0)

    desk = Desk(look, policy=Policy(attempts=1, backoff=Duration(0.001)))
    reply = desk.deliver()
    await eventually(lambda: desk.wire.published)
    assert desk.consumer.runner.outage.problem == ""
    desk.wire.published[0].stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]


async def test_who_only_waited_is_not_accused_when_others_work() -> None:
    away = True

    def look(placed: Placed) -> None:
        if away:
            raise Unavailable("the gateway")

    desk = Desk(look, policy=Policy(backoff=Duration(0.02)))
    desk.deliver(Placed("reports"), 1)
    desk.deliver(Placed("waits"), 2)
    desk.deliver(Placed("waits too"), 3)
    held = dict(desk.consumer.in_flight)
    away = False
    await eventually(lambda: not desk.in_flight)
    assert [held[each].excuses for each in (b"2", b"3")] == [0, 0]


async def test_a_probe_waits_while_a_delivery_runs_alone() -> None:
    alone, go = asyncio.Event(), asyncio.Event()
    at_once = most = 0
    probes = 0

    async def look(placed: Placed) -> None:
        nonlocal at_once, most, probes
        at_once += 1
        most = max(most, at_once)
        try:
            if placed.order_id == "suspect":
                alone.set()
                await go.wait()
            else:
                probes += 1
                raise Unavailable("the gateway")
        finally:
            at_once -= 1

    desk = Desk(look, policy=QUICK)
    desk.deliver(Placed("probe"), 1)
    await eventually(lambda: probes > 2)
    desk.deliver(Placed("suspect"), 2, number=4)
    await alone.wait()
    seen = probes
    await asyncio.sleep(0.05)  # many pauses of the policy
    assert (probes, most) == (seen, 1)
    go.set()
    await eventually(lambda: probes > seen, what="the outage goes on afterwards")
    await desk.consumer.stop()


async def test_a_delivery_runs_alone_only_when_the_probe_has_ended() -> None:
    probing, go = asyncio.Event(), asyncio.Event()
    runs: list[str] = []

    async def look(placed: Placed) -> None:
        runs.append(placed.order_id)
        if len(runs) == 1:
            raise Unavailable("the gateway")
        if placed.order_id == "probe":
            probing.set()
            await go.wait()

    desk = Desk(look, policy=QUICK)
    desk.deliver(Placed("probe"), 1)
    await probing.wait()
    desk.deliver(Placed("suspect"), 2, number=4)
    await asyncio.sleep(0.05)
    assert runs == ["probe", "probe"]
    go.set()
    await eventually(lambda: not desk.in_flight)
    assert runs == ["probe", "probe", "suspect"]


@pytest.mark.parametrize("reason", ["", "  "])
async def test_an_outage_without_a_reason_is_an_outage_all_the_same(reason: str) -> None:
    runs: list[str] = []

    def look(placed: Placed) -> None:
        runs.append(placed.order_id)
        raise Unavailable(reason)

    desk = Desk(look, policy=Policy(backoff=Duration(60)))
    desk.deliver(Placed("a"), 1)
    desk.deliver(Placed("b"), 2)
    assert runs == ["a"]
    assert "has been waiting for 0 s: Unavailable; it tries" in desk.consumer.runner.outage.problem
    await desk.consumer.stop()
