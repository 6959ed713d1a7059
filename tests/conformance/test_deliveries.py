"""What a durable delivers, in which order, and how much of it at a time."""

from __future__ import annotations

from tests.conformance.sides import Plane, Side, Taker, make_durable, make_stream, publish


async def test_deliveries_come_in_the_order_of_storing(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "IN", "in.>")
    await make_durable(side, stream, "d", "in.>")
    for number in range(20):
        await publish(side, plane, f"{side.name}.in.{number % 3}", str(number).encode())
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: len(taker.taken) == 20)
    assert taker.payloads == [str(number).encode() for number in range(20)]
    assert taker.sequences == [*range(1, 21)]
    assert [each.number for each in taker.taken] == [*range(1, 21)]
    assert {each.times for each in taker.taken} == {1}
