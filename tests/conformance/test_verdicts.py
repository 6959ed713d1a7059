"""What becomes of a delivery: each kind of verdict, none at all, and what the server counts."""

from __future__ import annotations

from typing import Any

from tests.conformance.sides import (
    Plane,
    Side,
    Taker,
    make_durable,
    make_stream,
    publish,
)


async def test_what_is_acked_does_not_come_again(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane, ack_wait=2.0)
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.taken)
    await side.eventually(settled(side, stream))
    await side.pass_time(2.5)
    assert len(taker.taken) == 1


async def test_what_has_no_verdict_comes_again_after_ack_wait(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane, ack_wait=1.0)
    began = side.now
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: len(taker.taken) == 1)
    await side.eventually(lambda: len(taker.taken) == 2)
    assert side.now - began >= 0.9
    await side.eventually(lambda: len(taker.taken) == 3)
    assert [each.times for each in taker.taken] == [1, 2, 3]
    assert [each.number for each in taker.taken] == [1, 2, 3]
    assert set(taker.sequences) == {1}


async def test_a_delayed_retry_comes_when_it_was_asked_for(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane)
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: len(taker.taken) == 1)
    began = side.now
    taker.taken[0].retry(0.7)
    await side.eventually(lambda: len(taker.taken) == 2)
    assert side.now - began >= 0.65
    assert taker.taken[1].times == 2


async def test_a_retry_may_be_later_than_ack_wait(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane, ack_wait=0.5)
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: len(taker.taken) == 1)
    began = side.now
    taker.taken[0].retry(1.5)
    await side.eventually(lambda: len(taker.taken) == 2)
    assert side.now - began >= 1.4


async def test_a_delayed_retry_keeps_its_place_in_max_ack_pending(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane, max_ack_pending=1)
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: len(taker.taken) == 1)
    taker.taken[0].retry(1.0)
    await publish(side, plane, f"{side.name}.in.b")
    await side.eventually(lambda: len(taker.taken) == 2)
    assert taker.sequences == [1, 1], "the second message waits"
    taker.taken[1].ack()
    await side.eventually(lambda: len(taker.taken) == 3)
    assert taker.sequences == [1, 1, 2]


async def test_what_comes_again_comes_before_what_is_new(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane, max_ack_pending=2)
    await publish(side, plane, f"{side.name}.in.b")
    taker = Taker(plane, stream, "d", limit=2, acks=False)
    await side.eventually(lambda: len(taker.taken) == 2)
    await publish(side, plane, f"{side.name}.in.c")
    taker.taken[1].retry(0.3)
    await side.eventually(lambda: len(taker.taken) == 3)
    taker.taken[0].ack()
    taker.taken[2].ack()
    await side.eventually(lambda: len(taker.taken) == 4)
    assert taker.sequences == [1, 2, 2, 3]


async def test_what_is_terminated_never_comes_again(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane, ack_wait=2.0)
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: taker.taken)
    taker.taken[0].terminate()
    await side.eventually(settled(side, stream))
    await side.pass_time(2.5)
    assert len(taker.taken) == 1


async def test_progress_keeps_a_delivery_for_another_ack_wait(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane, ack_wait=4.0)
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: taker.taken)
    await side.pass_time(1.0)
    taker.taken[0].progress()
    told = side.now
    await side.eventually(lambda: len(taker.taken) == 2)
    assert side.now - told >= 3.8


async def test_a_late_ack_settles_what_came_again_meanwhile(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane, ack_wait=0.5)
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: len(taker.taken) >= 2)
    taker.taken[0].ack()
    await side.eventually(settled(side, stream))


async def test_a_second_verdict_changes_nothing(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane, ack_wait=2.0)
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: taker.taken)
    taker.taken[0].ack()
    plane.retry(taker.taken[0].reply, 0.1)
    plane.terminate(taker.taken[0].reply, "too late")
    await side.eventually(settled(side, stream))
    await side.pass_time(2.5)
    assert len(taker.taken) == 1


async def test_the_floor_passes_only_what_has_its_verdict(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane)
    for name in "bcd":
        await publish(side, plane, f"{side.name}.in.{name}")
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: len(taker.taken) == 4)
    assert (await info(side, stream))["ack_floor"]["stream_seq"] == 0
    taker.taken[1].ack()
    taker.taken[2].ack()
    await side.eventually(pending(side, stream, 2))
    assert (await info(side, stream))["ack_floor"]["stream_seq"] == 0
    taker.taken[0].ack()
    await side.eventually(pending(side, stream, 1))
    found = await info(side, stream)
    assert found["ack_floor"] == {**found["ack_floor"], "stream_seq": 3, "consumer_seq": 3}
    taker.taken[3].ack()
    await side.eventually(pending(side, stream, 0))
    assert (await info(side, stream))["ack_floor"]["stream_seq"] == 4


async def test_the_floor_passes_what_came_again(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane)
    await publish(side, plane, f"{side.name}.in.b")
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: len(taker.taken) == 2)
    taker.taken[0].retry(0.2)
    await side.eventually(lambda: len(taker.taken) == 3)
    taker.taken[2].ack()
    await side.eventually(pending(side, stream, 1))
    assert (await info(side, stream))["ack_floor"]["stream_seq"] == 1
    taker.taken[1].ack()
    await side.eventually(pending(side, stream, 0))
    found = await info(side, stream)
    assert found["ack_floor"]["stream_seq"] == 2
    assert found["ack_floor"]["consumer_seq"] == found["delivered"]["consumer_seq"] == 3


async def test_the_server_counts_what_waits_and_what_is_out(side: Side, plane: Plane) -> None:
    stream = await one_message(side, plane)
    for name in "bc":
        await publish(side, plane, f"{side.name}.in.{name}")
    before = await info(side, stream)
    assert (before["num_pending"], before["num_ack_pending"]) == (3, 0)
    assert before["delivered"]["consumer_seq"] == before["delivered"]["stream_seq"] == 0
    taker = Taker(plane, stream, "d", limit=2, acks=False)
    await side.eventually(lambda: len(taker.taken) == 2)
    await side.eventually(pending(side, stream, 2))
    after = await info(side, stream)
    assert (after["num_pending"], after["num_redelivered"]) == (1, 0)
    assert after["delivered"]["consumer_seq"] == after["delivered"]["stream_seq"] == 2
    taker.taken[0].retry(0.1)
    taker.taken[1].ack()
    await side.eventually(lambda: sorted(taker.sequences) == [1, 1, 2, 3])
    found = await info(side, stream)
    assert (found["num_pending"], found["num_redelivered"]) == (0, 1)
    assert found["num_ack_pending"] == 2


async def one_message(side: Side, plane: Plane, **more: Any) -> str:
    """A stream with one message, and a durable `d` of all."""
    stream = await make_stream(side, "IN", "in.>")
    await make_durable(side, stream, "d", "in.>", **more)
    await publish(side, plane, f"{side.name}.in.a")
    return stream


async def info(side: Side, stream: str) -> dict[str, Any]:
    return await side.control.api(f"CONSUMER.INFO.{stream}.d")


def pending(side: Side, stream: str, count: int) -> Any:
    """A condition: so many have no verdict."""

    async def is_so() -> bool:
        return bool((await info(side, stream))["num_ack_pending"] == count)

    return is_so


def settled(side: Side, stream: str) -> Any:
    return pending(side, stream, 0)
