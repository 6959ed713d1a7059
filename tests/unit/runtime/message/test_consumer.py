"""From a delivery to its verdict: what is acked, when, and on which reply."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from jetmesh import Delivery, Duration, Policy
from jetmesh.testing import eventually
from tests.unit.runtime.message.desk import (
    STREAM,
    Accepted,
    Desk,
    Noted,
    Placed,
    Ticked,
    message_id,
    origin,
)
from tests.unit.runtime.message.wire import STORED_NS, Ack, Nak, Published


def accept(placed: Placed) -> Accepted:
    return Accepted(placed.order_id)


def tell_all(placed: Placed) -> Iterable[Noted | Accepted]:
    yield Noted("a")
    yield Accepted(placed.order_id)
    yield Noted("b")


class Seen:
    """Remembers what it was called with; nothing comes of it."""

    def __init__(self) -> None:
        self.placed: list[Placed] = []

    def desk(self, **more: Any) -> Desk:
        def look(placed: Placed) -> None:
            self.placed.append(placed)

        return Desk(look, **more)


def test_a_delivery_that_causes_nothing_is_acked_at_once() -> None:
    seen = Seen()
    desk = seen.desk()
    reply = desk.deliver(Placed("k-1"))
    assert seen.placed == [Placed("k-1")]
    assert desk.wire.sent == [Ack(reply)]
    assert (desk.source.room_made, desk.in_flight) == (1, 0)
    assert (desk.stats.delivered, desk.stats.acked) == (1, 1)
    assert sum(desk.stats.buckets) == 1


def test_a_delivery_is_acked_only_after_its_output_is_stored() -> None:
    desk = Desk(accept)
    reply = desk.deliver(Placed("k-1"), sequence=17)
    (output,) = desk.wire.published
    assert (output.subject, output.payload) == (
        "desk.accepted.k-1",
        b'{"order_id":"k-1","by":null}',
    )
    assert output.headers["Nats-Msg-Id"] == message_id("accept", 17, "desk.accepted.k-1")
    assert (desk.wire.verdicts, desk.source.room_made, desk.in_flight) == ([], 0, 1)
    output.stored()
    assert desk.wire.verdicts == [Ack(reply)]
    assert (desk.source.room_made, desk.in_flight) == (1, 0)
    assert (desk.stats.published, desk.stats.acked) == (1, 1)


def test_an_output_that_is_stored_at_once_is_acked_after_it() -> None:
    desk = Desk(accept)
    desk.wire.fate = Published.stored
    reply = desk.deliver()
    output, ack = desk.wire.sent
    assert isinstance(output, Published)
    assert ack == Ack(reply)


def test_what_follows_a_decision_is_published_after_it_is_stored() -> None:
    desk = Desk(tell_all)
    reply = desk.deliver(Placed("k-1"))
    (decision,) = desk.wire.published
    assert decision.subject == "desk.accepted.k-1"
    decision.stored()
    assert [each.subject for each in desk.wire.pending] == ["desk-log.noted.a", "desk-log.noted.b"]
    assert desk.wire.verdicts == []
    last, first = desk.wire.pending
    first.stored()
    assert desk.wire.verdicts == []
    last.stored()
    assert desk.wire.verdicts == [Ack(reply)]
    assert desk.stats.published == 3


def test_outputs_that_decide_nothing_go_at_once_and_are_all_waited_for() -> None:
    def tell(placed: Placed) -> list[Noted]:
        return [Noted("a"), Noted("b"), Noted("c")]

    desk = Desk(tell)
    reply = desk.deliver()
    assert len(desk.wire.pending) == 3
    for output in reversed(desk.wire.pending):
        assert desk.wire.verdicts == []
        output.stored()
    assert desk.wire.verdicts == [Ack(reply)]


def test_a_message_that_comes_again_while_it_is_in_flight_runs_once() -> None:
    runs = 0

    def count(placed: Placed) -> Accepted:
        nonlocal runs
        runs += 1
        return Accepted(placed.order_id)

    desk = Desk(count)
    desk.deliver(number=1)
    desk.deliver(number=2)
    newest = desk.deliver(number=3)
    assert (runs, len(desk.wire.published), desk.in_flight) == (1, 1, 1)
    assert desk.source.unsettled == 1
    desk.wire.published[0].stored()
    assert desk.wire.verdicts == [Ack(newest)]
    assert (desk.source.unsettled, desk.stats.delivered, desk.stats.acked) == (0, 3, 1)


async def test_an_effect_that_comes_again_while_it_runs_is_done_once() -> None:
    done, runs = asyncio.Event(), 0

    async def charge(placed: Placed) -> None:
        nonlocal runs
        runs += 1
        await done.wait()

    desk = Desk(charge)
    desk.deliver(number=1)
    await eventually(lambda: runs)
    newest = desk.deliver(number=2)
    done.set()
    await eventually(lambda: desk.wire.verdicts)
    assert runs == 1
    assert desk.wire.verdicts == [Ack(newest)]
    assert desk.source.unsettled == 0


def test_a_sequence_of_a_stream_that_was_made_again_is_another_message() -> None:
    desk = Desk(accept)
    desk.deliver(Placed("old"), sequence=1)
    reply = desk.deliver(Placed("new"), sequence=1, stored_ns=STORED_NS + 1)
    old, new = desk.wire.published
    assert (old.subject, new.subject) == ("desk.accepted.old", "desk.accepted.new")
    assert desk.source.unsettled == 1
    old.stored()
    assert desk.wire.verdicts == []
    new.stored()
    assert desk.wire.verdicts == [Ack(reply)]
    assert (desk.source.unsettled, desk.in_flight) == (0, 0)


async def test_a_delivery_that_was_given_back_is_not_acked_when_its_output_is_stored() -> None:
    desk = Desk(accept)
    reply = desk.deliver()
    assert await desk.consumer.give_back() == 1
    (verdict,) = desk.wire.verdicts
    assert isinstance(verdict, Nak)
    assert verdict.reply == reply
    desk.wire.published[0].stored()
    assert desk.wire.verdicts == [verdict]
    assert (desk.source.unsettled, desk.in_flight, desk.stats.acked) == (0, 0, 0)


async def test_as_many_effects_run_at_once_as_the_policy_says() -> None:
    running, most, free = 0, 0, asyncio.Event()

    async def charge(placed: Placed) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await free.wait()
        running -= 1

    desk = Desk(charge, policy=Policy(concurrency=3))
    replies = [desk.deliver(sequence=number) for number in range(1, 8)]
    await eventually(lambda: running == 3)
    assert desk.in_flight == 7
    free.set()
    await eventually(lambda: not desk.in_flight)
    assert most == 3
    assert desk.wire.verdicts == [Ack(reply) for reply in replies]


async def test_an_effect_is_acked_only_after_its_output_is_stored() -> None:
    async def charge(placed: Placed) -> Accepted:
        return Accepted(placed.order_id)

    desk = Desk(charge)
    reply = desk.deliver()
    await eventually(lambda: desk.wire.pending)
    assert desk.wire.verdicts == []
    desk.wire.pending[0].stored()
    assert desk.wire.verdicts == [Ack(reply)]


def test_an_event_without_a_key_needs_none() -> None:
    seen: list[Ticked] = []

    def look(ticked: Ticked) -> None:
        seen.append(ticked)

    desk = Desk(look, on=Ticked)
    reply = desk.deliver(Ticked(3))
    assert (seen, desk.wire.sent) == ([Ticked(3)], [Ack(reply)])


def test_a_handler_is_told_about_its_delivery_and_given_what_it_asks_for() -> None:
    told: list[Any] = []

    def look(placed: Placed, about: Delivery, rate: float) -> None:
        told.extend([about.attempt, about.key, about.cause, about.correlation, rate])
        assert about.stored_at == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
        assert 0 < (about.deadline - datetime.now(UTC)).total_seconds() <= 20

    desk = Desk(look, injected={"rate": 0.19})
    first = desk.deliver(Placed("a b"), sequence=17, headers={"Correlation-Id": "story-1"})
    second = desk.deliver(Placed("c"), sequence=18)
    assert told[:5] == [1, "a b", f"{STREAM}:17-{STORED_NS}", "story-1", 0.19]
    assert told[5:] == [1, "c", f"{STREAM}:18-{STORED_NS}", "c", 0.19]
    assert desk.wire.verdicts == [Ack(first), Ack(second)]


@pytest.mark.parametrize("number", [1, 2])
def test_a_server_that_names_its_domain_in_the_ack_subject_is_understood(number: int) -> None:
    causes: list[tuple[str, int]] = []

    def look(placed: Placed, about: Delivery) -> Noted:
        causes.append((about.cause, about.attempt))
        return Noted("a")

    desk = Desk(look)
    reply = desk.deliver(sequence=17, number=number, domain="hub")
    desk.wire.published[0].stored()
    assert causes == [(f"{STREAM}:17-{STORED_NS}", 1)]
    assert reply.startswith(b"$JS.ACK.hub.ACCOUNT.")
    assert desk.wire.verdicts == [Ack(reply)]


@pytest.mark.parametrize("domain", ["", "hub"])
def test_a_quick_handler_runs_at_once_whatever_form_the_server_writes(
    domain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first delivery of a server that names its domain goes the longer way."""
    desk = Desk(ignore)
    desk.deliver(sequence=1, domain=domain)
    begun: list[Any] = []
    monkeypatch.setattr(desk.consumer.runner, "begin", begun.append)
    replies = [desk.deliver(sequence=number, domain=domain) for number in (2, 3)]
    assert [each.reply for each in desk.wire.verdicts[1:]] == replies
    assert begun == []


def ignore(placed: Placed) -> None:
    """Do nothing, so that it is acked at once."""


def test_a_repetition_is_recognized_behind_a_domain() -> None:
    desk = Desk(accept)
    desk.deliver(number=1, domain="hub")
    newest = desk.deliver(number=2, domain="hub")
    desk.wire.published[0].stored()
    assert desk.wire.verdicts == [Ack(newest)]


def test_what_a_message_on_the_lane_causes_has_the_origin_as_its_cause() -> None:
    desk = Desk(accept)
    reply = desk.deliver_on_lane(sequence=5, origin=origin(17))
    (output,) = desk.wire.published
    assert output.headers["Nats-Msg-Id"] == message_id("accept", 17, "desk.accepted.k-1")
    output.stored()
    assert desk.wire.verdicts == [Ack(reply)]
    assert (desk.lane.room_made, desk.source.room_made) == (1, 0)


def test_the_lane_and_the_stream_may_have_messages_of_one_sequence_in_flight() -> None:
    desk = Desk(accept)
    first = desk.deliver(Placed("k-1"), sequence=5)
    second = desk.deliver_on_lane(Placed("k-2"), sequence=5, origin=origin(4))
    assert desk.in_flight == 2
    for output in desk.wire.published:
        output.stored()
    assert desk.wire.verdicts == [Ack(first), Ack(second)]


def old(seconds: float) -> int:
    """When a message was stored so long ago, in nanoseconds since 1970."""
    return int((datetime.now(UTC).timestamp() - seconds) * 1e9)


def test_a_message_older_than_max_age_is_dead_lettered_without_a_run() -> None:
    seen = Seen()
    desk = seen.desk(policy=Policy(max_age=Duration(60)))
    desk.deliver(stored_ns=old(61))
    (letter,) = desk.wire.published
    assert seen.placed == []
    assert letter.subject == "deadletters.desk.look.k-1"
    assert letter.headers["Jetmesh-Error"] == "Expired"


def test_a_message_younger_than_max_age_is_handled() -> None:
    seen = Seen()
    desk = seen.desk(policy=Policy(max_age=Duration(60)))
    reply = desk.deliver(stored_ns=old(30))
    assert seen.placed == [Placed("k-1")]
    assert desk.wire.sent == [Ack(reply)]


def test_what_a_person_replayed_is_handled_however_old_it_is() -> None:
    seen = Seen()
    desk = seen.desk(policy=Policy(max_age=Duration(60)))
    reply = desk.deliver_on_lane(origin=origin(17, replays=1))
    assert seen.placed == [Placed("k-1")]
    assert desk.wire.sent == [Ack(reply)]
