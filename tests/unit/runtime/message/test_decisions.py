"""One outcome per key: who decided it is asked before an effect, and after a refusal."""

from __future__ import annotations

import json

import pytest

from jetmesh.runtime.message import asking
from jetmesh.testing import eventually
from tests.unit.runtime.message.deciding import ACCEPTED, GUARD, Effect, ended
from tests.unit.runtime.message.desk import (
    STREAM,
    Accepted,
    Desk,
    Noted,
    Placed,
    Ticked,
    message_id,
    origin,
    rounded,
)
from tests.unit.runtime.message.wire import STORED_NS, Ack


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr(asking, "UNDECIDED_SECONDS", 0.0)


# before an effect


async def test_without_a_key_nothing_is_asked() -> None:
    async def look(ticked: Ticked) -> Accepted:
        return Accepted("k-1")

    desk = Desk(look, on=Ticked)
    desk.deliver(Ticked(3))
    await eventually(lambda: desk.wire.published)
    assert desk.streams.asked == []


async def test_without_a_decision_nothing_is_asked() -> None:
    async def look(placed: Placed) -> Noted:
        return Noted("a")

    desk = Desk(look)
    desk.deliver()
    await eventually(lambda: desk.wire.published)
    assert desk.streams.asked == []


async def test_an_effect_whose_key_is_undecided_is_done() -> None:
    effect = Effect(Accepted("a b"))
    desk = effect.deciding()
    desk.deliver(Placed("a b"))
    await ended(desk)
    assert desk.streams.asked == [("DESK", "desk.*.a%20b")]
    assert effect.runs == 1
    assert [each.subject for each in desk.wire.published] == ["desk.accepted.a%20b"]


BY_US = [
    message_id("look", 17, ACCEPTED),
    f"desk:look:{STREAM}:17-{rounded(STORED_NS)}:{ACCEPTED}",
    f"desk:look:{STREAM}:17:{ACCEPTED}",
]
"""Now, from what an older version put on the lane, and as an older version wrote it."""


@pytest.mark.parametrize("by", BY_US)
@pytest.mark.parametrize("number", [1, 2])
async def test_an_effect_that_was_done_for_this_message_is_not_done_again(
    number: int, by: str
) -> None:
    effect = Effect()
    desk = effect.deciding()
    desk.streams.hold(GUARD, ACCEPTED, by)
    reply = desk.deliver(sequence=17, number=number)
    await ended(desk)
    assert effect.runs == 0
    assert desk.wire.sent == [Ack(reply)]
    assert (desk.stats.repeated, desk.stats.refused, desk.stats.acked) == (1, 0, 1)


@pytest.mark.parametrize("by", BY_US)
@pytest.mark.parametrize("stored", [STORED_NS, rounded(STORED_NS)])
async def test_an_effect_done_on_the_stream_is_not_done_again_from_the_lane(
    by: str, stored: int
) -> None:
    effect = Effect()
    desk = effect.deciding()
    desk.streams.hold(GUARD, ACCEPTED, by)
    reply = desk.deliver_on_lane(sequence=5, origin=origin(17)._replace(stored=stored))
    await ended(desk)
    assert effect.runs == 0
    assert desk.wire.sent == [Ack(reply)]


@pytest.mark.parametrize(
    "by",
    [
        message_id("look", 17, ACCEPTED),
        message_id("looking", 1, ACCEPTED),
        f"desk:look:OTHER:1:{ACCEPTED}",
        f"desk:look:{STREAM}:1-{STORED_NS - 1_000_000}:{ACCEPTED}",
    ],
)
async def test_a_key_that_another_cause_decided_is_acked_without_an_effect_and_marked(
    by: str,
) -> None:
    effect = Effect()
    desk = effect.deciding()
    desk.streams.hold(GUARD, ACCEPTED, by)
    reply = desk.deliver(sequence=1)
    await ended(desk)
    (mark,) = desk.wire.sent
    assert mark is desk.wire.published[0]
    assert desk.wire.published[0].subject == "refusals.desk.look.k-1"
    assert desk.wire.published[0].headers == {
        "Nats-Msg-Id": f"desk:look:{STREAM}:1-{STORED_NS}:refusal"
    }
    told = json.loads(desk.wire.published[0].payload)
    assert told.pop("at")
    assert told == {
        "stream": STREAM,
        "sequence": 1,
        "subject": "desk-in.placed.k-1",
        "refused": GUARD,
        "stored": {"stream": "DESK", "sequence": 99, "subject": ACCEPTED, "message_id": by},
    }
    desk.wire.published[0].stored()
    assert desk.wire.verdicts == [Ack(reply)]
    assert (effect.runs, desk.stats.refused, desk.stats.repeated) == (0, 1, 0)


async def test_a_mark_that_cannot_be_stored_keeps_no_delivery_back() -> None:
    desk = Effect().deciding()
    desk.streams.hold(GUARD, ACCEPTED)
    reply = desk.deliver()
    await ended(desk)
    desk.wire.published[0].impossible()
    assert desk.wire.verdicts == [Ack(reply)]


async def test_what_should_follow_a_decision_is_made_up_for_when_the_decision_is_ours() -> None:
    effect = Effect([Accepted("k-1"), Noted("a")])
    desk = effect.deciding_and_more()
    desk.streams.hold(GUARD, ACCEPTED, message_id("look", 1, ACCEPTED))
    reply = desk.deliver()
    await ended(desk)
    assert effect.runs == 1
    desk.wire.pending[0].decided()
    await ended(desk)
    assert [each.subject for each in desk.wire.pending] == ["desk-log.noted.a"]
    assert (desk.stats.repeated, desk.wire.verdicts) == (1, [])
    desk.wire.pending[0].stored()
    assert desk.wire.verdicts == [Ack(reply)]


async def test_nothing_follows_a_decision_of_another_cause() -> None:
    effect = Effect([Accepted("k-1"), Noted("a")])
    desk = effect.deciding_and_more()
    desk.streams.hold(GUARD, ACCEPTED)
    desk.deliver()
    await ended(desk)
    assert effect.runs == 0
    assert [each.subject for each in desk.wire.published] == ["refusals.desk.look.k-1"]


@pytest.mark.parametrize(
    ("held", "runs"),
    [([], 1), ([1], 1), ([1, 1], 1), ([17], 0), ([1, 17], 0)],
    ids=["none", "ours", "both", "anothers", "ours and anothers"],
)
async def test_of_several_decisions_each_is_asked_until_one_is_anothers(
    held: list[int], runs: int
) -> None:
    effect = Effect()
    desk = effect.deciding_twice()
    guards = [("DESK", GUARD), ("DESK_SHIP", "desk-ship.*.k-1")]
    outcomes = [ACCEPTED, "desk-ship.sent.k-1"]
    for (_, guard), subject, by in zip(guards, outcomes, held, strict=False):
        desk.streams.hold(guard, subject, message_id("look", by, subject))
    desk.deliver()
    await ended(desk)
    assert effect.runs == runs
    assert desk.streams.asked == (guards[:1] if held == [17] else guards)
    assert desk.stats.refused == (not runs)


# after a refusal


def deciding() -> Desk:
    return Effect(Accepted("k-1")).deciding()


def deciding_and_more() -> Desk:
    return Effect([Accepted("k-1"), Noted("a")]).deciding_and_more()


async def outcome_refused(desk: Desk, by: str = "", subject: str = ACCEPTED) -> bytes:
    """Somebody decides while the handler runs, and its own outcome is refused."""
    reply = desk.deliver()
    await ended(desk)
    if by:
        desk.streams.hold(GUARD, subject, by)
    desk.wire.published[0].decided()
    return reply


async def test_an_outcome_refused_because_it_is_stored_already_counts_as_stored() -> None:
    desk = deciding()
    reply = await outcome_refused(desk, message_id("look", 1, ACCEPTED))
    await ended(desk)
    assert len(desk.wire.published) == 1
    assert desk.wire.verdicts == [Ack(reply)]
    assert (desk.stats.repeated, desk.stats.refused) == (1, 0)


async def test_what_follows_an_outcome_that_is_stored_already_is_published() -> None:
    desk = deciding_and_more()
    reply = await outcome_refused(desk, message_id("look", 1, ACCEPTED))
    await ended(desk)
    assert desk.wire.verdicts == []
    (rest,) = desk.wire.pending
    assert rest.subject == "desk-log.noted.a"
    rest.stored()
    assert desk.wire.verdicts == [Ack(reply)]


async def test_another_outcome_of_the_same_cause_stands_and_nothing_follows() -> None:
    desk = deciding_and_more()
    stored = "desk.refused.k-1"
    reply = await outcome_refused(desk, message_id("look", 1, stored), stored)
    await ended(desk)
    assert len(desk.wire.published) == 1
    assert desk.wire.verdicts == [Ack(reply)]
    assert (desk.stats.repeated, desk.stats.refused) == (1, 0)


async def test_an_outcome_refused_for_another_cause_is_marked_before_the_ack() -> None:
    desk = deciding_and_more()
    reply = await outcome_refused(desk, message_id("look", 17, ACCEPTED))
    await ended(desk)
    assert desk.wire.verdicts == []
    (mark,) = desk.wire.pending
    assert mark.subject == "refusals.desk.look.k-1"
    assert json.loads(mark.payload)["refused"] == ACCEPTED
    mark.stored()
    assert desk.wire.verdicts == [Ack(reply)]
    assert (desk.stats.repeated, desk.stats.refused, desk.stats.published) == (0, 1, 0)


async def test_a_def_handler_learns_of_another_outcome_from_the_refusal() -> None:
    def look(placed: Placed) -> Accepted:
        return Accepted(placed.order_id)

    desk = Desk(look)
    reply = await outcome_refused(desk, message_id("look", 17, ACCEPTED))
    assert desk.streams.asked == []
    await ended(desk)
    assert desk.streams.asked == [("DESK", GUARD)]
    desk.wire.pending[0].stored()
    assert desk.wire.verdicts == [Ack(reply)]


async def test_the_key_of_the_outcome_is_asked_about_not_the_key_of_the_input() -> None:
    def look(placed: Placed) -> Accepted:
        return Accepted("another")

    desk = Desk(look)
    await outcome_refused(desk)
    await eventually(lambda: desk.streams.asked)
    assert desk.streams.asked[0] == ("DESK", "desk.*.another")
    await desk.consumer.give_back()


async def test_an_outcome_refused_although_nothing_is_stored_is_published_again() -> None:
    desk = deciding()
    reply = await outcome_refused(desk)
    await eventually(lambda: desk.wire.pending)
    first, second = desk.wire.published
    assert (first.subject, first.headers, first.payload) == (
        second.subject,
        second.headers,
        second.payload,
    )
    assert desk.wire.verdicts == []
    second.stored()
    assert desk.wire.verdicts == [Ack(reply)]
    assert (desk.stats.repeated, desk.stats.refused, desk.stats.published) == (0, 0, 1)
