"""What a reader lacks, and whose fault that is."""

from __future__ import annotations

from msgspec import Struct

from jetmesh import event
from jetmesh.declare import spec_of
from jetmesh.runtime.unread import Senders, StrangeNote, Unread, UnreadLimit
from jetmesh.transport.reader import Reader

BY_HANDLER = {"Nats-Msg-Id": "desk:take:ORDERS:1-1700000000000000000:told.x"}


@event("blamed.told", key="id")
class Told(Struct, frozen=True):
    id: str


@event("blamed.agreed", key="id", decision="blamed.agreed")
class Agreed(Struct, frozen=True):
    id: str


def reader(kind: type) -> Reader:
    spec = spec_of(kind)
    assert spec is not None
    return Reader(spec)


def test_one_message_without_an_id_of_a_handler_shows_that_its_event_comes_from_outside() -> None:
    senders, told = Senders(), reader(Told)
    assert not senders.show_outside(told, BY_HANDLER)
    assert senders.are_ours(told)
    assert senders.show_outside(told, {"Nats-Msg-Id": "web:1"})
    assert not senders.show_outside(told, BY_HANDLER)
    assert not senders.are_ours(told)


def test_no_message_makes_a_decision_come_from_outside() -> None:
    senders, agreed = Senders(), reader(Agreed)
    assert not senders.show_outside(agreed, {})
    assert senders.are_ours(agreed)


def test_what_is_handed_over_speaks_against_nobody_here() -> None:
    ours, strange = Unread("the read model of S"), Unread("the read model of S")
    ours.add("S:1", "no id", event="a")
    ours.add("S:2", "no total", event="b")
    ours.add("S:3", "no id", event="a")
    assert "3 stored events, the first is S:1 (no id)" in UnreadLimit(ours, 0).problem
    assert StrangeNote(strange).note == ""
    ours.hand_over("a", strange)
    assert "1 stored event, the first is S:2 (no total)" in UnreadLimit(ours, 0).problem
    assert UnreadLimit(ours, 1).problem == ""
    assert "passed over 2 messages from outside, the first is S:1" in StrangeNote(strange).note
