"""A dependency is away: what is tried meanwhile, what waits, and what it costs."""

from __future__ import annotations

import asyncio

import pytest

from jetmesh import Delivery, Duration, Policy, Unavailable
from jetmesh.runtime.message import outage
from jetmesh.testing import eventually
from tests.unit.runtime.message.desk import (
    QUICK,
    Accepted,
    Desk,
    Noted,
    Placed,
    all_that_can_run,
    message_id,
    origin,
)
from tests.unit.runtime.message.wire import Ack, Nak, Term

LASTING = Policy(backoff=Duration(60), backoff_cap=Duration(60))
"""Pauses longer than a test."""


class Gateway:
    """Something that every delivery needs; a handler notes whom it ran for."""

    def __init__(self) -> None:
        self.away = True
        self.runs: list[str] = []
        self.at_once = self.most = 0
        self.hung: asyncio.Event | None = None
        """While set, a run waits for it."""

    def desk(self, policy: Policy = QUICK) -> Desk:
        def look(placed: Placed) -> None:
            self.use(placed)

        return Desk(look, policy=policy)

    def effect(self, policy: Policy = QUICK) -> Desk:
        async def look(placed: Placed) -> None:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            try:
                await (self.hung.wait() if self.hung else asyncio.sleep(0))
                self.use(placed)
            finally:
                self.at_once -= 1

        return Desk(look, policy=policy)

    def use(self, placed: Placed) -> None:
        self.runs.append(placed.order_id)
        if self.away:
            raise Unavailable("the gateway is away.")

    async def ran(self, times: int) -> None:
        await eventually(lambda: len(self.runs) >= times)


async def test_it_is_tried_with_one_delivery_at_a_time_and_another_each_time() -> None:
    gateway = Gateway()
    desk = gateway.desk()
    for number, key in enumerate("abc", 1):
        desk.deliver(Placed(key), number)
    assert gateway.runs == ["a"]
    await gateway.ran(8)
    assert gateway.runs[:8] == ["a", "a", "b", "c", "a", "b", "c", "a"]
    assert desk.wire.sent == []
    assert (desk.in_flight, desk.stats.failed) == (3, 0)
    await desk.consumer.stop()


async def test_effects_that_find_it_away_side_by_side_are_tried_one_at_a_time() -> None:
    gateway = Gateway()
    gateway.hung = asyncio.Event()
    desk = gateway.effect()
    for number, key in enumerate("abc", 1):
        desk.deliver(Placed(key), number)
    await eventually(lambda: gateway.at_once == 3)
    gateway.hung.set()
    gateway.most = 0
    await gateway.ran(9)
    assert gateway.runs[:9] == [*"abcabcabc"]
    assert gateway.most == 1
    assert (desk.wire.sent, desk.in_flight) == ([], 3)
    gateway.away = False
    await eventually(lambda: not desk.in_flight)
    assert len(desk.wire.verdicts) == 3


async def test_what_waits_goes_on_as_soon_as_one_delivery_works() -> None:
    gateway = Gateway()
    desk = gateway.desk()
    replies = [desk.deliver(Placed(key), number) for number, key in enumerate("abcd", 1)]
    gateway.away = False
    await eventually(lambda: not desk.in_flight)
    assert gateway.runs == [*"aabcd"]
    assert desk.wire.verdicts == [Ack(reply) for reply in replies]
    assert desk.consumer.runner.outage.reason == ""
    assert desk.source.unsettled == 0


async def test_effects_that_wait_go_on_side_by_side_as_soon_as_one_works() -> None:
    gateway = Gateway()
    gateway.hung = asyncio.Event()
    desk = gateway.effect()
    replies = [desk.deliver(Placed(key), number) for number, key in enumerate("abcd", 1)]
    await eventually(lambda: gateway.at_once == 4)
    gateway.hung.set()
    gateway.hung, gateway.most = None, 0
    await gateway.ran(4)
    gateway.away = False
    await eventually(lambda: not desk.in_flight)
    assert gateway.most == 3
    assert sorted(each.reply for each in desk.wire.verdicts) == sorted(replies)


async def test_it_is_a_problem_in_words_for_as_long_as_it_lasts() -> None:
    gateway = Gateway()
    desk = gateway.desk()
    found = desk.consumer.runner.outage
    assert (found.problem, found.reason) == ("", "")
    desk.deliver()
    assert found.reason == "the gateway is away."
    assert found.problem == (
        "desk.look has been waiting for 0 s: the gateway is away; "
        "it tries with one delivery at a time"
    )
    gateway.away = False
    await eventually(lambda: not desk.in_flight)
    assert (found.problem, found.reason) == ("", "")


async def test_the_newest_reason_is_told_without_what_is_personal() -> None:
    runs = 0

    def look(placed: Placed) -> None:
        nonlocal runs
        runs += 1
        raise Unavailable(f"try {min(runs, 2)}: no route to ada@example.test")

    desk = Desk(look)
    desk.deliver()
    await eventually(lambda: runs > 1)
    assert desk.consumer.runner.outage.reason.startswith("try 2: no route to ")
    assert "ada" not in desk.consumer.runner.outage.problem
    await desk.consumer.stop()


async def test_it_is_tried_again_within_seconds_however_long_the_policy_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert outage._LONGEST_PAUSE == 3
    monkeypatch.setattr(outage, "_LONGEST_PAUSE", 0.001)
    gateway = Gateway()
    desk = gateway.desk(LASTING)
    desk.deliver()
    await gateway.ran(3)
    await desk.consumer.stop()


async def test_an_outage_burns_no_attempts() -> None:
    attempts: list[int] = []
    errors = [Unavailable("away"), Unavailable("away"), ValueError("broken")]

    def look(placed: Placed, about: Delivery) -> None:
        attempts.append(about.attempt)
        if errors:
            raise errors.pop(0)

    desk = Desk(look)
    desk.deliver(number=1)
    await eventually(lambda: not desk.in_flight)
    assert attempts == [1, 1, 1]
    desk.deliver(number=2)
    assert attempts == [1, 1, 1, 2]
    assert desk.stats.failed == 1


async def test_any_other_error_shows_that_the_dependency_is_back() -> None:
    errors = [Unavailable("away"), ValueError("broken")]

    def look(placed: Placed) -> None:
        if errors:
            raise errors.pop(0)

    desk = Desk(look)
    desk.deliver(sequence=1)
    waiting = desk.deliver(sequence=2)
    await eventually(lambda: not desk.in_flight)
    retried, acked = desk.wire.verdicts
    assert isinstance(retried, Nak)
    assert acked == Ack(waiting)


@pytest.mark.parametrize("attempts", [1, 5])
async def test_who_calls_it_away_while_others_work_has_failed_in_the_end(attempts: int) -> None:
    runs: list[str] = []

    def look(placed: Placed) -> None:
        runs.append(placed.order_id)
        if placed.order_id == "liar":
            raise Unavailable("the gateway")

    desk = Desk(look, policy=Policy(attempts=attempts, backoff=Duration(0.001)))
    liar = desk.deliver(Placed("liar"), sequence=1)
    working: list[bytes] = []
    for number in range(2, 5):
        working.append(desk.deliver(Placed("works"), sequence=number))
        await eventually(lambda: desk.stats.acked == len(working))
    await eventually(lambda: desk.stats.failed)
    assert desk.consumer.runner.outage.reason == ""
    assert desk.stats.acked == 3
    if attempts == 1:
        (letter,) = desk.wire.published
        assert letter.headers["Jetmesh-Error"] == "Unavailable"
        letter.stored()
        assert desk.wire.verdicts[-1] == Term(liar, "dead-lettered")
    else:
        assert [each.reply for each in desk.wire.verdicts if isinstance(each, Nak)] == [liar]


async def test_an_outage_without_anybody_who_works_goes_on_for_ever() -> None:
    gateway = Gateway()
    desk = gateway.desk()
    desk.deliver(Placed("a"), 1)
    desk.deliver(Placed("b"), 2)
    await gateway.ran(20)
    assert (desk.stats.failed, desk.in_flight) == (0, 2)
    await desk.consumer.stop()


# the end


async def test_a_stop_gives_back_what_waits_and_nothing_runs_any_more() -> None:
    gateway = Gateway()
    desk = gateway.desk(LASTING)
    replies = [desk.deliver(Placed(key), number) for number, key in enumerate("abc", 1)]
    await desk.consumer.stop()
    assert [each.reply for each in desk.wire.verdicts] == replies
    assert {type(each) for each in desk.wire.verdicts} == {Nak}
    assert (gateway.runs, desk.in_flight, desk.source.unsettled) == (["a"], 0, 0)
    assert await desk.consumer.give_back() == 0
    assert len(desk.wire.verdicts) == 3


async def test_a_stop_gives_back_what_it_is_just_tried_with() -> None:
    gateway = Gateway()
    desk = gateway.effect()
    replies = [desk.deliver(Placed("a"), 1)]
    await gateway.ran(1)
    replies.append(desk.deliver(Placed("b"), 2))
    gateway.hung = asyncio.Event()
    await eventually(lambda: gateway.at_once)
    await desk.consumer.stop()
    assert gateway.at_once == 0
    assert sorted(each.reply for each in desk.wire.verdicts) == sorted(replies)
    assert {type(each) for each in desk.wire.verdicts} == {Nak}
    assert (desk.in_flight, desk.stats.failed) == (0, 0)


async def test_what_finds_it_away_after_the_stop_is_given_back_at_once() -> None:
    gateway = Gateway()
    desk = gateway.desk()
    await desk.consumer.stop()
    reply = desk.deliver()
    (verdict,) = desk.wire.verdicts
    assert isinstance(verdict, Nak)
    assert (verdict.reply, desk.in_flight) == (reply, 0)
    assert desk.consumer.runner.outage.reason == ""
    await all_that_can_run()
    assert gateway.runs == ["k-1"]


# who waits


async def test_a_delivery_that_is_no_longer_held_is_passed_over() -> None:
    gateway = Gateway()
    desk = gateway.desk()
    desk.deliver(Placed("a"), 1)
    given_back = desk.deliver(Placed("b"), 2)
    desk.deliver(Placed("c"), 3)
    desk.consumer.verdicts.give_back(desk.consumer.in_flight[b"2"])
    await gateway.ran(4)
    gateway.away = False
    await eventually(lambda: not desk.in_flight)
    assert "b" not in gateway.runs
    assert [each.reply for each in desk.wire.verdicts].count(given_back) == 1


async def test_an_outage_of_which_nobody_waits_any_more_is_over() -> None:
    gateway = Gateway()
    desk = gateway.desk()
    desk.deliver()
    desk.consumer.verdicts.give_back(desk.consumer.in_flight[b"1"])
    await eventually(lambda: not desk.consumer.runner.outage.reason)
    assert gateway.runs == ["k-1"]
    assert len(desk.wire.verdicts) == 1


async def test_a_delivery_that_comes_again_while_it_waits_has_its_verdict_on_the_newest() -> None:
    gateway = Gateway()
    desk = gateway.desk()
    desk.deliver(number=1)
    newest = desk.deliver(number=2)
    assert desk.in_flight == 1
    gateway.away = False
    await eventually(lambda: not desk.in_flight)
    assert desk.wire.verdicts == [Ack(newest)]
    assert desk.source.unsettled == 0


async def test_what_comes_from_the_lane_waits_too() -> None:
    gateway = Gateway()
    desk = gateway.desk()
    desk.deliver(Placed("a"), 1)
    desk.deliver_on_lane(Placed("b"), 1, origin=origin(17))
    assert gateway.runs == ["a"]
    gateway.away = False
    await eventually(lambda: not desk.in_flight)
    assert gateway.runs == ["a", "a", "b"]
    assert (desk.source.unsettled, desk.lane.unsettled) == (0, 0)


async def test_an_effect_that_was_done_before_it_was_away_is_found_and_not_repeated() -> None:
    runs = 0

    async def look(placed: Placed) -> Accepted:
        nonlocal runs
        runs += 1
        desk.streams.hold(
            "desk.*.k-1", "desk.accepted.k-1", message_id("look", 1, "desk.accepted.k-1")
        )
        raise Unavailable("the gateway")

    desk = Desk(look)
    reply = desk.deliver()
    await eventually(lambda: not desk.in_flight)
    assert (runs, desk.wire.sent) == (1, [Ack(reply)])


async def test_a_second_outage_is_waited_for_as_the_first_one() -> None:
    gateway = Gateway()
    desk = gateway.desk()
    for _ in range(2):
        gateway.away = True
        desk.deliver()
        assert desk.consumer.runner.outage.reason
        gateway.away = False
        await eventually(lambda: not desk.in_flight)
    assert desk.consumer.runner.outage.reason == ""
    assert len(desk.wire.verdicts) == 2


async def test_an_output_made_after_the_outage_is_waited_for_before_the_ack() -> None:
    errors = [Unavailable("away")]

    def look(placed: Placed) -> Noted:
        if errors:
            raise errors.pop()
        return Noted("a")

    desk = Desk(look)
    reply = desk.deliver()
    await eventually(lambda: desk.wire.pending)
    assert desk.consumer.runner.outage.reason == ""
    assert desk.wire.verdicts == []
    desk.wire.pending[0].stored()
    assert desk.wire.verdicts == [Ack(reply)]
