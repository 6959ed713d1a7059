"""A guard is seen to guard before anything is acked, and costs nothing afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jetmesh.errors import BrokerError
from jetmesh.runtime.message import asking, guards
from jetmesh.testing import eventually
from tests.unit.runtime.message.desk import Accepted, Desk, Noted, Placed, message_id
from tests.unit.runtime.message.wire import Ack, Nak, Published

SUBJECT, FILTER = "desk.accepted.k-1", "desk.*.k-1"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once, and doubt before long."""
    monkeypatch.setattr(guards, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(guards, "_LOOK_WHEN_BLIND_SECONDS", 0.001)
    monkeypatch.setattr(guards, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(asking, "UNDECIDED_SECONDS", 0.001)
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 0.05)


def accepting() -> Desk:
    def accept(placed: Placed) -> Accepted:
        return Accepted(placed.order_id)

    desk = Desk(accept)
    desk.consumer.runner.guards.doubt()
    return desk


def stored(sent: Published, sequence: int = 7, stream: str = "DESK") -> None:
    """The server has it, and says where."""
    sent.waiter.on_stored(b'{"stream":"%b","seq":%d}' % (stream.encode(), sequence))
    sent.fate = "stored"


def seen(desk: Desk, sequence: int = 7, subject: str = SUBJECT) -> None:
    """So the guard's filter finds it."""
    desk.streams.hold(FILTER, subject)
    desk.streams.held[FILTER] = replace(desk.streams.held[FILTER], sequence=sequence)


async def blind(desk: Desk) -> str:
    guarding = desk.consumer.runner.guards
    return str(await eventually(lambda: guarding.problem, what="a blind guard"))


async def test_the_first_outcome_is_acked_once_the_guard_sees_it_and_the_next_at_once() -> None:
    desk = accepting()
    first, second = desk.deliver(Placed("k-1"), 1), desk.deliver(Placed("k-2"), 2)
    stored(desk.wire.pending[0], 7)
    stored(desk.wire.pending[0], 8)
    await eventually(lambda: desk.streams.asked)
    assert desk.wire.verdicts == []
    seen(desk)
    await eventually(lambda: desk.wire.verdicts == [Ack(first), Ack(second)])
    asked = len(desk.streams.asked)
    third = desk.deliver(Placed("k-3"), 3)
    stored(desk.wire.pending[0], 9)
    assert desk.wire.verdicts[-1] == Ack(third)
    assert len(desk.streams.asked) == asked
    desk.consumer.runner.guards.stop()


async def test_a_follower_that_is_behind_is_asked_again() -> None:
    desk = accepting()
    reply = desk.deliver()
    seen(desk, sequence=6)
    stored(desk.wire.pending[0], 7)
    await eventually(lambda: len(desk.streams.asked) > 3)
    assert (desk.wire.verdicts, desk.consumer.runner.guards.problem) == ([], "")
    seen(desk)
    await eventually(lambda: desk.wire.verdicts == [Ack(reply)])
    desk.consumer.runner.guards.stop()


async def test_who_gets_no_answer_accuses_nobody_and_says_so() -> None:
    desk = accepting()
    reply = desk.deliver()
    seen(desk)
    desk.streams.error = BrokerError("the broker's user may not ask")
    stored(desk.wire.pending[0], 7)
    await eventually(lambda: desk.consumer.runner.asking.problem)
    assert "the broker's user may not ask" in desk.consumer.runner.asking.problem
    assert (desk.wire.verdicts, desk.consumer.runner.guards.problem) == ([], "")
    desk.streams.error = None
    await eventually(lambda: desk.wire.verdicts == [Ack(reply)])
    desk.consumer.runner.guards.stop()


async def test_what_came_later_on_the_key_shows_that_the_guard_sees_it() -> None:
    desk = accepting()
    reply = desk.deliver()
    seen(desk, sequence=8, subject="desk.refused.k-1")
    stored(desk.wire.pending[0], 7)
    await eventually(lambda: desk.wire.verdicts == [Ack(reply)])
    desk.consumer.runner.guards.stop()


@pytest.mark.parametrize("lies", ["nowhere", "on another subject", "in another stream"])
async def test_who_is_not_seen_stops_its_handler_and_publishes_no_more(lies: str) -> None:
    desk = accepting()
    reply = desk.deliver()
    if lies != "nowhere":
        seen(desk, subject="desk.taken.k-1" if lies == "on another subject" else SUBJECT)
    stored(desk.wire.pending[0], 7, "OTHER" if lies == "in another stream" else "DESK")
    said = await blind(desk)
    assert f"published on {SUBJECT} is stored as" in said
    assert f"where {FILTER} does not see it" in said
    assert {source.allowed for source in desk.wire.sources.values()} == {0}
    desk.deliver(Placed("k-2"), 2)  # it was on its way
    assert [each.subject for each in desk.wire.published] == [SUBJECT]
    assert desk.wire.verdicts == []
    await desk.consumer.stop()
    assert {type(each) for each in desk.wire.verdicts} == {Nak}
    assert desk.wire.verdicts[0].reply == reply


async def test_a_guard_that_sees_again_lets_everything_go_on() -> None:
    desk = accepting()
    desk.deliver()
    stored(desk.wire.pending[0], 7)
    await blind(desk)
    desk.deliver(Placed("k-2"), 2)
    seen(desk)
    await eventually(lambda: len(desk.wire.published) == 2)
    stored(desk.wire.pending[0], 8)
    assert len(desk.wire.verdicts) == 2
    assert desk.consumer.runner.guards.problem == ""
    assert all(source.allowed for source in desk.wire.sources.values())
    desk.consumer.runner.guards.stop()


async def test_a_repetition_under_doubt_is_found_out_as_ever() -> None:
    desk = accepting()
    reply = desk.deliver()
    desk.streams.hold(SUBJECT, SUBJECT, message_id("accept", 1, SUBJECT))
    desk.wire.pending[0].duplicate(99)
    await eventually(lambda: desk.wire.verdicts == [Ack(reply)])


async def test_what_no_decision_guards_is_not_looked_at() -> None:
    def note(placed: Placed) -> Noted:
        return Noted(placed.order_id)

    desk = Desk(note)
    desk.consumer.runner.guards.doubt()
    reply = desk.deliver()
    desk.wire.pending[0].stored()
    assert desk.wire.verdicts == [Ack(reply)]
    assert desk.streams.asked == []
