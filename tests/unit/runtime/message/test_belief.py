"""Duplicates: what stands on our subject decides, and a follower that is behind decides nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jetmesh import wire
from jetmesh.runtime.message import asking, belief
from jetmesh.runtime.message.asking import Asking
from jetmesh.runtime.message.belief import Belief, Place
from jetmesh.testing import eventually
from jetmesh.transport.lookups import NotGrantedError
from jetmesh.transport.stored import StoredMessage
from tests.unit.runtime.message.deciding import ACCEPTED, Effect, ended
from tests.unit.runtime.message.desk import Accepted, Desk, Noted, Placed, Streams, message_id
from tests.unit.runtime.message.wire import Ack, Nak, Published, Wire

NOTED = "desk-log.noted.a"
OURS = message_id("look", 1, NOTED)
TAKEN = 7
"""The sequence that the server says our id has."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr(asking, "UNDECIDED_SECONDS", 0.0)
    monkeypatch.setattr(belief, "_PAUSE_SECONDS", 0.0)


def noting() -> Desk:
    def look(placed: Placed) -> Noted:
        return Noted("a")

    return Desk(look)


def hold(desk: Desk, by: str, sequence: int, payload: bytes = b'{"note_id": "a"}') -> None:
    desk.streams.hold(NOTED, NOTED, by, payload)
    desk.streams.held[NOTED] = replace(desk.streams.held[NOTED], sequence=sequence)


def since(desk: Desk, by: str, sequence: int) -> None:
    """What a reader finds from the sequence of the PubAck on."""
    held = replace(desk.streams.held[NOTED], headers={"Nats-Msg-Id": by}, sequence=sequence)
    desk.streams.held[f"{NOTED} since {TAKEN}"] = held


def duplicate(desk: Desk) -> bytes:
    reply = desk.deliver()
    desk.wire.published[0].duplicate(TAKEN)
    return reply


async def again(desk: Desk) -> Published:
    await eventually(lambda: desk.wire.pending)
    (sent,) = desk.wire.pending
    return sent


async def test_what_is_ours_is_acked_after_one_look() -> None:
    desk = noting()
    hold(desk, OURS, TAKEN)
    reply = duplicate(desk)
    await ended(desk)
    assert desk.wire.verdicts == [Ack(reply)]
    assert desk.streams.asked == [("DESK_LOG", NOTED)]
    assert (desk.stats.repeated, desk.stats.squatted, desk.stats.published) == (1, 0, 1)


async def test_what_is_not_there_is_stored_under_another_id_behind_what_was_seen() -> None:
    desk = noting()
    hold(desk, "somebody's", 5)
    reply = duplicate(desk)
    sent = await again(desk)
    assert (sent.subject, sent.payload) == (NOTED, desk.wire.published[0].payload)
    assert sent.headers == {
        "Nats-Msg-Id": f"{OURS}>{TAKEN}",
        "Nats-Expected-Last-Subject-Sequence": "5",
    }
    sent.stored()
    await ended(desk)
    assert desk.wire.verdicts == [Ack(reply)]
    assert desk.stats.squatted == 1


async def test_a_follower_that_is_behind_makes_nothing_stored_twice() -> None:
    """It says that nothing is there; the leader refuses what would be second."""
    desk = noting()
    reply = duplicate(desk)
    sent = await again(desk)
    assert sent.headers["Nats-Expected-Last-Subject-Sequence"] == "0"
    hold(desk, OURS, TAKEN)
    sent.decided()
    await ended(desk)
    assert desk.wire.verdicts == [Ack(reply)]
    assert len(desk.wire.published) == 2
    assert (desk.stats.repeated, desk.stats.squatted) == (1, 0)


@pytest.mark.parametrize(("by", "at"), [(OURS, TAKEN), (f"{OURS}>3", TAKEN)])
async def test_ours_behind_younger_ones_is_found_by_its_sequence(by: str, at: int) -> None:
    desk = noting()
    hold(desk, "somebody's", 12)
    since(desk, by, at)
    reply = duplicate(desk)
    await ended(desk)
    assert desk.wire.verdicts == [Ack(reply)]
    assert len(desk.wire.published) == 1


async def test_a_reader_that_is_behind_is_asked_again() -> None:
    desk = noting()
    hold(desk, "somebody's", 12)
    duplicate(desk)
    await eventually(lambda: len(desk.streams.asked) > 6)
    assert (desk.wire.verdicts, desk.wire.pending) == ([], [])
    since(desk, "somebody's", 9)  # the first from 7 on: so 7 is not on our subject
    sent = await again(desk)
    assert sent.headers["Nats-Expected-Last-Subject-Sequence"] == "12"
    sent.stored()
    await ended(desk)


async def test_another_id_that_is_taken_too_leads_to_the_next_one() -> None:
    desk = noting()
    reply = duplicate(desk)
    (await again(desk)).duplicate(9)
    sent = await again(desk)
    assert sent.headers["Nats-Msg-Id"] == f"{OURS}>{TAKEN}>9"
    sent.stored()
    await ended(desk)
    assert desk.wire.verdicts == [Ack(reply)]


async def test_a_decision_keeps_its_guard_and_is_looked_up_when_that_refuses() -> None:
    def look(placed: Placed) -> Accepted:
        return Accepted("k-1")

    desk = Desk(look)
    reply = duplicate(desk)
    sent = await again(desk)
    assert sent.headers["Nats-Expected-Last-Subject-Sequence-Subject"] == "desk.*.k-1"
    assert sent.headers["Nats-Msg-Id"].endswith(f">{TAKEN}")
    desk.streams.hold("desk.*.k-1", ACCEPTED, message_id("look", 1, ACCEPTED))
    sent.decided()
    await ended(desk)
    assert desk.wire.verdicts == [Ack(reply)]


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"note_id": "b"}', b"\xff"])
async def test_garbage_in_our_place_gives_the_input_back_and_counts_no_attempt(
    payload: bytes,
) -> None:
    desk = noting()
    hold(desk, OURS, TAKEN, payload)
    duplicate(desk)
    await ended(desk)
    assert [type(each) for each in desk.wire.verdicts] == [Nak]
    assert (desk.stats.forged, desk.stats.failed, desk.stats.retried) == (1, 0, 0)
    assert "DESK:99"[:5] in desk.consumer.verdicts.unstorable.problem
    desk.deliver(number=2)
    desk.wire.published[1].duplicate(TAKEN)
    await ended(desk)
    assert desk.stats.forged == 1
    desk.deliver(number=3)
    desk.wire.published[2].stored()
    assert desk.consumer.verdicts.unstorable.problem == ""


@pytest.mark.parametrize("fate", ["stored", "decided"])
async def test_who_may_not_look_believes_what_a_guard_does_not_refute(fate: str) -> None:
    class Denied(Streams):
        async def last(self, _: str, __: str) -> StoredMessage | None:
            raise NotGrantedError("the permission is missing.")

    wire_ = Wire(lambda published: getattr(published, fate)())
    looking = Belief(Denied(), wire_.publish, Asking("web"), may_be_blind=True)
    ours = NOTED.encode(), wire.block({"Nats-Msg-Id": "web:1"}), b"{}"
    found = await looking.confirm("DESK_LOG", ours, TAKEN, lambda _: "", "web:1")
    (sent,) = wire_.published
    assert sent.headers == {
        "Nats-Msg-Id": f"web:1>{TAKEN}",
        "Nats-Expected-Last-Subject-Sequence": "0",
    }
    assert found == (Place(0, squatted=True) if fate == "stored" else Place(TAKEN))


async def test_before_an_effect_that_may_have_been_done_it_is_looked_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its delivery was lost, and the follower that answers may be behind."""
    monkeypatch.setattr(asking, "BEHIND_SECONDS", 0.0)
    effect = Effect(Accepted("k-1"))
    desk = effect.deciding()
    desk.deliver(number=1)
    await ended(desk)
    assert len(desk.streams.asked) == 1
    desk.deliver(sequence=2, number=2)
    await ended(desk)
    assert len(desk.streams.asked) == 3
