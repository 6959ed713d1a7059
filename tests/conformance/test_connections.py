"""What a lost connection and a dead process do to what is on its way."""

from __future__ import annotations

import pytest

from jetmesh.errors import BrokerError
from tests.conformance.sides import (
    Plane,
    Side,
    Taker,
    make_durable,
    make_stream,
    publish,
    send,
    stored,
)


async def test_what_a_dead_process_had_comes_to_others_after_ack_wait(side: Side) -> None:
    one, other = await side.connect(), await side.connect()
    stream = await filled(side, one, 3, ack_wait=2.0)
    began = side.now
    dies = Taker(one, stream, "d", acks=False)
    await side.eventually(lambda: len(dies.taken) == 3)
    await side.crash(one)
    lives = Taker(other, stream, "d")
    await side.eventually(lambda: len(lives.taken) == 3)
    assert side.now - began >= 1.9
    assert lives.sequences == [1, 2, 3], "in the order of the stream"
    assert [each.times for each in lives.taken] == [2, 2, 2]


async def test_a_lost_connection_is_made_again(side: Side, plane: Plane) -> None:
    told: list[str] = []
    plane.on_connected.append(lambda: told.append("connected"))
    side.cut(plane)
    await side.eventually(lambda: plane.reconnects == 1 or "lost" in plane.problem)
    await side.mend(plane)
    assert (plane.problem, told, plane.reconnects) == ("", ["connected"], 1)
    await make_stream(side, "OUT", "out.>")
    assert await publish(side, plane, f"{side.name}.out.a") == "stored"


async def test_what_was_out_when_a_connection_is_lost_comes_again_after_ack_wait(
    side: Side, plane: Plane
) -> None:
    stream = await filled(side, plane, 2, ack_wait=2.0)
    began = side.now
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: len(taker.taken) == 2)
    side.cut(plane)
    await side.mend(plane)
    await side.eventually(lambda: len(taker.taken) == 4)
    assert side.now - began >= 1.9
    assert taker.sequences == [1, 2, 1, 2]


async def test_a_pull_goes_on_after_a_lost_connection(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 1)
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: len(taker.taken) == 1)
    side.cut(plane)
    await side.mend(plane)
    await publish(side, plane, f"{side.name}.in.a")
    await side.eventually(lambda: taker.sequences == [1, 2])


async def test_a_verdict_without_a_connection_is_sent_on_the_next(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 2)
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: len(taker.taken) == 2)
    side.cut(plane)
    taker.taken[0].ack()
    taker.taken[1].terminate()
    await side.mend(plane)

    async def is_settled() -> bool:
        info = await side.control.api(f"CONSUMER.INFO.{stream}.d")
        return not info["num_ack_pending"]

    await side.eventually(is_settled)


async def test_what_is_published_without_a_connection_is_stored_later_in_order(
    side: Side, plane: Plane
) -> None:
    stream = await make_stream(side, "OUT", "out.>")
    side.cut(plane)
    fates = [send(plane, f"{side.name}.out.a", b"%d" % number) for number in range(20)]
    await side.mend(plane)
    await side.eventually(lambda: all(fate.told == ["stored"] for fate in fates))
    assert [kept.payload for kept in await stored(side, stream)] == [b"%d" % n for n in range(20)]


async def test_what_was_on_its_way_is_stored_once_and_told_once(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>")
    fates = [send(plane, f"{side.name}.out.a", id=str(number)) for number in range(20)]
    side.cut(plane)
    await side.mend(plane)
    await side.eventually(lambda: all(fate.told for fate in fates))
    await side.pass_time(0.3)
    assert [kept.message_id for kept in await stored(side, stream)] == [*map(str, range(20))]
    for number, fate in enumerate(fates, 1):
        assert fate.told in (["stored"], [f"duplicate of {number}"])


async def test_what_was_guarded_and_on_its_way_is_stored_once(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>")
    fates = [send(plane, f"{side.name}.out.{number}", last="0") for number in range(20)]
    side.cut(plane)
    await side.mend(plane)
    await side.eventually(lambda: all(fate.told for fate in fates))
    assert len(await stored(side, stream)) == 20
    assert {fate.told[0] for fate in fates} <= {"stored", "decided"}


async def test_a_question_without_a_connection_has_no_answer(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 1)
    side.cut(plane)
    with pytest.raises(BrokerError):
        await plane.lookups.last(stream, f"{side.name}.in.>")
    await side.mend(plane)


async def test_a_reader_hears_of_a_new_connection(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 1)
    told: list[str] = []
    inflow = plane.inflow(stream, "d", limit=1, on_delivery=lambda *_: None, on_gone=told.append)
    inflow.start()
    side.cut(plane)
    await side.mend(plane)
    await side.eventually(lambda: told)
    assert told == ["the connection is new: what was on its way may be lost"]


async def test_an_inflow_that_was_dropped_gets_nothing_more(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 1)
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.taken)
    plane.drop(taker.inflow)  # type: ignore[arg-type] # it is that plane's own
    await side.pass_time(0.2)
    await publish(side, plane, f"{side.name}.in.a")
    await side.pass_time(0.3)
    assert len(taker.taken) == 1


async def filled(side: Side, plane: Plane, count: int, ack_wait: float = 60.0) -> str:
    stream = await make_stream(side, "IN", "in.>")
    await make_durable(side, stream, "d", "in.>", ack_wait=ack_wait)
    for number in range(1, count + 1):
        await publish(side, plane, f"{side.name}.in.{number}")
    return stream
