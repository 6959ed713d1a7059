"""A consumer that starts, pulls more or less, keeps alive what takes long, and ends."""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest

from jetmesh import Duration, Policy, Unavailable
from jetmesh.testing import eventually
from tests.unit.runtime.message.desk import Accepted, Desk, Placed, all_that_can_run
from tests.unit.runtime.message.wire import Ack, Nak, Published

PATIENT = Policy(backoff=Duration(60))
"""An outage is not over before the test is."""


def accept(placed: Placed) -> Accepted:
    return Accepted(placed.order_id)


async def accept_later(placed: Placed) -> Accepted:
    return Accepted(placed.order_id)


async def hang(placed: Placed) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("policy", "stream", "lane"),
    [
        (Policy(), 2048, 256),
        (Policy(batch=100), 100, 100),
        (Policy(max_ack_pending=64), 64, 64),
        (Policy(batch=1), 1, 1),
    ],
)
def test_a_def_handler_has_its_batch_in_flight(policy: Policy, stream: int, lane: int) -> None:
    desk = Desk(accept, policy=policy)
    assert (desk.source.limit, desk.lane.limit) == (stream, lane)
    assert desk.source.first == desk.lane.first == 64, "it may be slow"
    assert desk.source.durable == desk.lane.durable == "desk-accept"


@pytest.mark.parametrize(
    ("policy", "stream", "lane"),
    [
        (Policy(), 64, 16),
        (Policy(concurrency=1), 1, 1),
        (Policy(concurrency=10, max_ack_pending=10), 10, 2),
    ],
)
def test_an_effect_has_no_more_in_flight_than_run_at_once(
    policy: Policy, stream: int, lane: int
) -> None:
    desk = Desk(accept_later, policy=policy)
    assert (desk.source.limit, desk.lane.limit) == (stream, lane)
    assert desk.source.first == desk.lane.first == 0, "it begins with all"


async def test_it_pulls_from_stream_and_lane_from_its_start_to_its_stop() -> None:
    desk = Desk(accept)
    assert desk.source.steps == desk.lane.steps == []
    desk.consumer.start()
    await desk.consumer.stop()
    assert desk.source.steps == desk.lane.steps == ["start", "stop"]


async def test_what_is_in_flight_at_a_stop_may_still_end_well() -> None:
    desk = Desk(accept)
    reply = desk.deliver()
    await desk.consumer.stop()
    assert desk.wire.verdicts == []
    desk.wire.published[0].stored()
    assert desk.wire.verdicts == [Ack(reply)]
    assert await desk.consumer.give_back() == 0
    assert desk.wire.verdicts == [Ack(reply)]


async def test_giving_back_cancels_what_runs_and_returns_each_delivery_once() -> None:
    cancelled = 0

    async def charge(placed: Placed) -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise

    desk = Desk(charge, policy=Policy(concurrency=2))
    replies = [desk.deliver(sequence=number) for number in (1, 2, 3)]
    replies.append(desk.deliver_on_lane(headers={}))
    await eventually(lambda: desk.wire.published)  # the letter of what was typed by hand
    await desk.consumer.stop()
    assert await desk.consumer.give_back() == 4
    assert cancelled == 2
    assert [type(each) for each in desk.wire.verdicts] == [Nak] * 4
    assert [each.reply for each in desk.wire.verdicts] == replies
    assert (desk.source.unsettled, desk.lane.unsettled, desk.in_flight) == (0, 0, 0)
    assert (desk.stats.retried, desk.stats.dead) == (0, 0)
    desk.wire.published[0].stored()
    assert len(desk.wire.verdicts) == 4


async def test_an_effect_that_ends_well_although_it_is_cancelled_is_not_acked_after_all() -> None:
    async def charge(placed: Placed) -> Accepted:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Accepted(placed.order_id)
        return Accepted("never")

    desk = Desk(charge)
    desk.deliver()
    await all_that_can_run()
    await desk.consumer.stop()
    assert await desk.consumer.give_back() == 1
    (output,) = desk.wire.published
    output.stored()
    assert [type(each) for each in desk.wire.verdicts] == [Nak]


async def test_what_runs_for_a_third_of_its_ack_wait_is_prolonged_on_its_newest_reply() -> None:
    desk = Desk(hang, policy=Policy(ack_wait=Duration(30)))
    desk.deliver(sequence=1)
    second = desk.deliver(sequence=2)
    newest = desk.deliver(sequence=1, number=2)
    now = perf_counter()
    desk.consumer.keep_alive(now + 9)
    assert desk.wire.prolonged == []
    desk.consumer.keep_alive(now + 10.5)
    assert desk.wire.prolonged == [newest, second]
    await desk.consumer.stop()
    await desk.consumer.give_back()
    desk.consumer.keep_alive(now + 60)
    assert len(desk.wire.prolonged) == 2


async def test_it_pulls_little_during_an_outage_and_as_before_after_it() -> None:
    away = True

    def look(placed: Placed) -> None:
        if away:
            raise Unavailable("the gateway")

    desk = Desk(look)
    desk.consumer.start()
    desk.deliver()
    assert (desk.source.allowed, desk.lane.allowed) == (2, 1)
    away = False
    await eventually(lambda: not desk.in_flight)
    assert (desk.source.allowed, desk.lane.allowed) == (2048, 256)


async def test_a_delivery_in_an_outage_waits_whatever_its_number() -> None:
    runs = 0

    def look(placed: Placed) -> None:
        nonlocal runs
        runs += 1
        raise Unavailable("the gateway")

    desk = Desk(look, policy=PATIENT)
    desk.deliver(sequence=1)
    desk.deliver(sequence=2, number=1)
    desk.deliver(sequence=3, number=2)
    assert (runs, desk.in_flight, desk.wire.sent) == (1, 3, [])
    await desk.consumer.stop()
    assert [type(each) for each in desk.wire.verdicts] == [Nak] * 3


async def test_it_is_not_widened_again_once_it_stops() -> None:
    def look(placed: Placed) -> None:
        raise Unavailable("the gateway")

    desk = Desk(look, policy=PATIENT)
    desk.consumer.start()
    desk.deliver()
    await desk.consumer.stop()
    desk.consumer.adjust()
    assert (desk.source.allowed, desk.lane.allowed) == (2, 1)
    assert desk.source.steps == ["start", "stop"]


async def test_nothing_runs_beside_a_suspect_and_all_of_it_afterwards() -> None:
    ran: list[str] = []
    free = asyncio.Event()

    async def look(placed: Placed) -> None:
        ran.append(placed.order_id)
        if placed.order_id == "suspect":
            await free.wait()

    desk = Desk(look)
    suspect = desk.deliver(Placed("suspect"), sequence=1, number=4)
    await eventually(lambda: ran)
    first = desk.deliver(Placed("first"), sequence=2)
    second = desk.deliver(Placed("second"), sequence=3, number=2)
    await all_that_can_run()
    assert ran == ["suspect"]
    free.set()
    await eventually(lambda: not desk.in_flight)
    assert ran == ["suspect", "first", "second"]
    assert desk.wire.verdicts == [Ack(suspect), Ack(first), Ack(second)]


async def test_a_first_delivery_of_a_def_handler_is_parked_during_a_quarantine() -> None:
    ran: list[str] = []

    def look(placed: Placed) -> None:
        ran.append(placed.order_id)

    desk = Desk(look)
    desk.wire.fate = Published.stored
    desk.deliver(Placed("suspect"), sequence=1, number=4)
    desk.deliver(Placed("first"), sequence=2)
    assert ran == []
    await eventually(lambda: not desk.in_flight)
    assert ran == ["suspect", "first"]
    desk.deliver(Placed("second"), sequence=3)
    assert ran == ["suspect", "first", "second"]
