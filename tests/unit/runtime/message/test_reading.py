"""An event in another dress is handled; what is none says what it seems to be."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from jetmesh import event
from tests.unit.runtime.message.desk import (
    PLACED,
    Desk,
    Placed,
    all_that_can_run,
    origin,
    payload_of,
)
from tests.unit.runtime.message.wire import Ack, Published

PLAIN = payload_of(PLACED)
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
MARKER = {"Nats-Marker-Reason": "MaxAge", "Nats-TTL": "10s"}


@event("loose.placed", key="id")
class Loose(msgspec.Struct, frozen=True):
    """Nearly everything may be read as this."""

    id: str
    note: str = ""


def handlers(ran: list[Placed]) -> list[Callable[[Placed], Any]]:
    def look(placed: Placed) -> None:
        ran.append(placed)

    async def effect(placed: Placed) -> None:
        ran.append(placed)

    effect.__name__ = "look"
    return [look, effect]


def enveloped(data: bytes) -> bytes:
    about = {"specversion": "1.0", "type": "placed", "source": "/shop", "id": "e-1"}
    return msgspec.json.encode(about | {"data": msgspec.Raw(data)})


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    ("payload", "headers"),
    [
        (b"\xef\xbb\xbf" + PLAIN, None),
        (b"\xef\xbb\xbf" + PLAIN, {"A": "b"}),
        (enveloped(PLAIN), STRUCTURED),
        (enveloped(PLAIN), {"content-type": "Application/CloudEvents+JSON; charset=utf-8"}),
        (PLAIN, STRUCTURED),
        (PLAIN, {"ce-specversion": "1.0", "ce-id": "e-1", "Content-Type": "application/json"}),
    ],
)
async def test_an_event_in_another_dress_is_handled(
    payload: bytes, headers: dict[str, str] | None, number: int, which: int
) -> None:
    ran: list[Placed] = []
    desk = Desk(handlers(ran)[which])
    reply = desk.deliver(payload, number=number, headers=headers)
    await all_that_can_run()
    assert ran == [PLACED]
    assert desk.wire.verdicts == [Ack(reply)]
    assert (desk.stats.delivered, desk.stats.acked) == (1, 1)


async def test_a_declared_envelope_is_not_taken_for_the_event_itself() -> None:
    """Unknown fields are ignored, and its own `id` is one that many events have."""
    ran: list[Loose] = []

    def look(loose: Loose) -> None:
        ran.append(loose)

    desk = Desk(look, on=Loose)
    desk.deliver(enveloped(b'{"id": "p-1", "note": "n"}'), headers=STRUCTURED)
    assert ran == [Loose("p-1", "n")]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("number", [1, 2])
async def test_a_marker_of_the_server_is_acked_counted_and_never_run(
    which: int, number: int
) -> None:
    ran: list[Placed] = []
    desk = Desk(handlers(ran)[which])
    reply = desk.deliver(b"", number=number, headers=MARKER)
    await all_that_can_run()
    assert desk.wire.sent == [Ack(reply)]
    assert (ran, desk.stats.markers, desk.stats.failed, desk.stats.dead) == ([], 1, 0, 0)
    assert desk.stats.last_error == ""


async def test_a_marker_on_the_lane_is_acked_too() -> None:
    ran: list[Placed] = []
    desk = Desk(handlers(ran)[0])
    reply = desk.deliver_on_lane(b"", headers=MARKER)
    await all_that_can_run()
    assert desk.wire.sent == [Ack(reply)]
    assert (ran, desk.stats.markers) == ([], 1)


async def test_a_payload_with_a_marker_s_header_is_no_marker() -> None:
    """The server writes none; whoever does it is heard like anybody else."""
    ran: list[Placed] = []
    desk = Desk(handlers(ran)[0])
    desk.deliver(PLAIN, headers=MARKER)
    desk.deliver(b"no json", 2, headers=MARKER)
    assert (ran, desk.stats.markers, desk.stats.failed) == ([PLACED], 0, 1)


def letters_of(desk: Desk) -> list[Published]:
    return desk.wire.published


@pytest.mark.parametrize("on_lane", [False, True])
@pytest.mark.parametrize(
    ("some", "content"),
    [
        ([b"", b" \n"], "empty"),
        ([gzip.compress(b"1", mtime=0), gzip.compress(b"another")], "gzip"),
        ([PLAIN.decode().encode("utf-16"), b"\xff\xfe{\x00}\x00"], "UTF-16 text"),
        ([msgspec.msgpack.encode({"a": 1}), msgspec.msgpack.encode([2])], "msgpack"),
        ([b"<a/>", b"<b>customer@example.test</b>"], "XML"),
        ([b"a=1", b"token=tok_one&b=2"], "form data"),
        ([enveloped(b"{}"), enveloped(PLAIN)], "a CloudEvents envelope"),
    ],
)
async def test_a_letter_says_what_the_bytes_seem_to_be_with_one_fingerprint_for_each_kind(
    some: list[bytes], content: str, *, on_lane: bool
) -> None:
    desk = Desk(handlers([])[0])
    for number, payload in enumerate(some, 1):
        if on_lane:
            desk.deliver_on_lane(payload, number, origin=origin(number))
        else:
            desk.deliver(payload, number)
    await all_that_can_run()
    headers = [letter.headers for letter in letters_of(desk)]
    assert len(headers) == len(some)
    assert len({each["Jetmesh-Fingerprint"] for each in headers}) == 1
    for each in headers:
        assert each["Jetmesh-Error"] == "ContractViolation"
        assert each["Jetmesh-Where"] == f"a payload that seems to be {content}"
        assert f"the payload seems to be {content}; publish " in each["Jetmesh-Message"]
        assert "tok_one" not in json.dumps(each)
    assert letters_of(desk)[0].payload == some[0]


async def test_of_a_declared_envelope_its_data_is_judged() -> None:
    desk = Desk(handlers([])[0])
    desk.deliver(enveloped(b'{"order_id": 5}'), headers=STRUCTURED)
    (letter,) = letters_of(desk)
    assert letter.headers["Jetmesh-Where"] == "field $.order_id"
