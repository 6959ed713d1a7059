"""What a durable delivers, in which order, and how much of it at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance.sides import (
    Plane,
    Side,
    Taken,
    Taker,
    make_durable,
    make_stream,
    publish,
    stored,
)


async def test_deliveries_come_in_the_order_of_storing(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 20)
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: len(taker.taken) == 20)
    assert taker.payloads == [str(number).encode() for number in range(1, 21)]
    assert taker.sequences == [*range(1, 21)]
    assert [each.number for each in taker.taken] == [*range(1, 21)]
    assert {each.times for each in taker.taken} == {1}


async def test_a_delivery_is_the_message_as_it_was_stored(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "IN", "in.>")
    await make_durable(side, stream, "d", "in.>")
    subject, payload = f"{side.name}.in.ü%20b.$c", bytes(range(256))
    await publish(side, plane, subject, payload, id="1", Name="ü: b", Empty="")
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.taken)
    (taken,), (kept,) = taker.taken, await stored(side, stream)
    assert (taken.subject, taken.payload) == (subject, payload)
    assert taken.headers == ("NATS/1.0\r\nNats-Msg-Id: 1\r\nName: ü: b\r\nEmpty: \r\n\r\n".encode())
    assert (kept.subject, kept.payload, kept.message_id) == (subject, payload, "1")
    assert taken.stored_ns == kept.stored_ns


async def test_a_delivery_says_how_many_are_left(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 3)
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: len(taker.taken) == 3)
    assert [each.left for each in taker.taken] == [2, 1, 0]


async def test_only_what_matches_a_filter_is_delivered(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "IN", "in.>")
    await make_durable(side, stream, "d", "in.a.*", "in.b")
    for name in ("a.1", "b", "b.1", "a", "a.1.2", "c", "a.2"):
        await publish(side, plane, f"{side.name}.in.{name}")
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: len(taker.taken) == 3)
    assert taker.sequences == [1, 2, 7]
    assert [each.number for each in taker.taken] == [1, 2, 3]


async def test_what_is_stored_later_is_delivered_then(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 1)
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: len(taker.taken) == 1)
    await publish(side, plane, f"{side.name}.in.a")
    await side.eventually(lambda: len(taker.taken) == 2)


async def test_no_more_than_the_limit_is_without_a_verdict(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 10)
    taker = Taker(plane, stream, "d", limit=4, acks=False)
    await side.eventually(lambda: len(taker.taken) == 4)
    await side.pass_time(0.3)
    assert taker.sequences == [1, 2, 3, 4]
    for each in taker.taken[:]:
        each.ack()
    await side.eventually(lambda: len(taker.taken) == 8)
    await side.pass_time(0.3)
    assert taker.sequences == [*range(1, 9)]


async def test_a_pull_begins_with_the_first_few(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 10)
    arrived: list[bytes] = []
    inflow = plane.inflow(
        stream, "d", limit=8, first=2, on_delivery=lambda *delivery: arrived.append(delivery[1])
    )
    inflow.start()
    await side.eventually(lambda: len(arrived) == 2)
    await side.pass_time(0.3)
    assert len(arrived) == 2


async def test_a_smaller_limit_holds_from_then_on(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 10)
    taker = Taker(plane, stream, "d", limit=4, acks=False)
    await side.eventually(lambda: len(taker.taken) == 4)
    taker.inflow.limit_to(1)
    for each in taker.taken[:3]:
        each.ack()
    await side.pass_time(0.3)
    assert len(taker.taken) == 4, "one is without a verdict, and one may be"
    taker.taken[3].ack()
    await side.eventually(lambda: len(taker.taken) == 5)
    await side.pass_time(0.3)
    assert len(taker.taken) == 5


async def test_no_more_than_max_ack_pending_is_without_a_verdict(side: Side) -> None:
    one, other = await side.connect(), await side.connect()
    stream = await filled(side, one, 10, max_ack_pending=3)
    takers = [Taker(each, stream, "d", acks=False) for each in (one, other)]

    def taken() -> list[Taken]:
        return [each for taker in takers for each in taker.taken]

    await side.eventually(lambda: len(taken()) == 3)
    await side.pass_time(0.3)
    assert len(taken()) == 3
    taken()[0].ack()
    await side.eventually(lambda: len(taken()) == 4)


async def test_processes_share_a_durable_and_none_gets_what_another_has(side: Side) -> None:
    one, other = await side.connect(), await side.connect()
    stream = await filled(side, one, 0)
    takers = [Taker(each, stream, "d", limit=2, acks=False) for each in (one, other)]
    for _ in range(4):
        await publish(side, one, f"{side.name}.in.a")
    await side.eventually(lambda: sum(len(taker.taken) for taker in takers) == 4)
    assert sorted(takers[0].sequences + takers[1].sequences) == [1, 2, 3, 4]
    assert len(takers[0].taken) == len(takers[1].taken) == 2


async def test_durables_do_not_take_from_each_other(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 3)
    await make_durable(side, stream, "e", "in.>")
    takers = [Taker(plane, stream, name) for name in ("d", "e")]
    await side.eventually(lambda: all(len(taker.taken) == 3 for taker in takers))


async def test_who_stops_pulling_gets_nothing_more(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 1)
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.taken)
    taker.inflow.stop()
    await asyncio.sleep(0)
    await side.pass_time(0.2)
    await publish(side, plane, f"{side.name}.in.a")
    await side.pass_time(0.3)
    assert len(taker.taken) == 1
    taker.inflow.start()
    await side.eventually(lambda: len(taker.taken) == 2)


async def filled(side: Side, plane: Plane, count: int, **more: Any) -> str:
    """A stream with so many messages, and a durable `d` of them."""
    stream = await make_stream(side, "IN", "in.>")
    await make_durable(side, stream, "d", "in.>", **more)
    for number in range(1, count + 1):
        await publish(side, plane, f"{side.name}.in.{number % 3}", str(number).encode())
    return stream
