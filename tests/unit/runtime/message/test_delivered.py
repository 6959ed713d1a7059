"""What a delivery says about itself: numbers, origin, cause and key."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.quarantine import Quarantine
from tests.unit.runtime.message.desk import STREAM, Desk, Noted, Placed, Ticked, origin
from tests.unit.runtime.message.wire import STORED_NS


def note(placed: Placed) -> Noted:
    return Noted("a")


def note_tick(ticked: Ticked) -> Noted:
    return Noted("a")


def in_flight(desk: Desk) -> Delivered:
    (found,) = desk.consumer.in_flight.values()
    return found


@pytest.mark.parametrize("domain", ["", "hub"])
@pytest.mark.parametrize("number", [1, 2, 12])
def test_its_numbers_are_read_from_the_ack_subject(
    number: int, domain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Quarantine, "takes", lambda *_: False)
    desk = Desk(note)
    desk.deliver(sequence=1234567, number=number, domain=domain)
    found = in_flight(desk)
    assert (found.deliveries, found.slot, found.stored_ns) == (number, b"1234567", STORED_NS)
    assert found.token == found.name == b"1234567-%d" % STORED_NS
    assert (found.cause, found.attempt) == (f"{STREAM}:1234567", 1)
    assert found.origin.subject == "desk-in.placed.k-1"
    assert found.origin.stored_at == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)


def test_on_the_lane_it_speaks_for_its_origin() -> None:
    desk = Desk(note)
    desk.deliver_on_lane(sequence=5, number=2, origin=origin(17, attempts=3, replays=1))
    found = in_flight(desk)
    assert found.on_lane
    assert (found.token, found.cause, found.attempt) == (b"17-%d" % STORED_NS, f"{STREAM}:17", 4)
    assert found.origin == origin(17, attempts=3, replays=1)
    assert (found.slot, found.deliveries) == (b"lane.5", 2)
    assert found.name == b"lane.5-%d" % STORED_NS


@pytest.mark.parametrize(
    ("given", "key", "token"),
    [
        (Placed("a b"), "a b", "a%20b"),
        (Placed("ü"), "ü", "%C3%BC"),
        (b'{"order_id":""}', "", "_"),
    ],
)
def test_its_key_is_the_events(given: Placed | bytes, key: str, token: str) -> None:
    desk = Desk(note)
    desk.deliver(given)
    found = in_flight(desk)
    assert (found.key, found.key_token) == (key, token)


@pytest.mark.parametrize(
    ("subject", "key", "token"),
    [
        ("desk-in.placed.a%20b", "a b", "a%20b"),
        ("desk-in.placed", "", "_"),
        ("desk-in.placed.a\x0cb", "a\x0cb", "a%0Cb"),
    ],
)
def test_the_subject_tells_the_key_of_what_cannot_be_read(
    subject: str, key: str, token: str
) -> None:
    desk = Desk(note)
    desk.source.deliver(subject, desk.source.reply(1), b"no json")
    found = in_flight(desk)
    assert (found.event, found.key, found.key_token) == (None, key, token)
    assert desk.wire.published[0].subject == f"deadletters.desk.note.{token}"


def test_an_event_without_a_key_has_none() -> None:
    desk = Desk(note_tick, on=Ticked)
    desk.deliver(Ticked(3))
    found = in_flight(desk)
    assert (found.key, found.key_token) == ("", "_")
