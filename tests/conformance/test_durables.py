"""Where a durable begins, and what a change, a loss or a removal of messages does to it."""

from __future__ import annotations

from typing import Any

import pytest

from jetmesh.transport.stored import NO_DURABLE, NO_STREAM, ApiError
from tests.conformance.sides import (
    Plane,
    Side,
    Taker,
    make_durable,
    make_stream,
    publish,
)


async def test_a_durable_begins_with_all_that_is_stored(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 3)
    await make_durable(side, stream, "d", "in.>")
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.sequences == [1, 2, 3])


async def test_a_new_durable_may_begin_with_what_comes(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 3)
    await make_durable(side, stream, "d", "in.>", deliver_policy="new")
    await publish(side, plane, f"{side.name}.in.a")
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.taken)
    assert taker.sequences == [4]


async def test_a_durable_may_begin_at_a_sequence(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 3)
    more: dict[str, Any] = {"deliver_policy": "by_start_sequence", "opt_start_seq": 3}
    await make_durable(side, stream, "d", "in.>", **more)
    assert (await info(side, stream))["num_pending"] == 1
    assert (await info(side, stream))["ack_floor"]["stream_seq"] == 2
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.sequences == [3])


async def test_a_durable_may_not_be_created_twice(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 0)
    await create(side, stream, "in.a")
    await create(side, stream, "in.a")  # the same again is fine
    with pytest.raises(ApiError) as refused:
        await create(side, stream, "in.b")
    assert refused.value.err_code == 10148


async def test_a_durable_that_is_not_there_cannot_be_updated(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 0)
    with pytest.raises(ApiError) as refused:
        await create(side, stream, "in.a", action="update")
    assert refused.value.err_code == 10149


async def test_who_asks_for_what_is_not_there_is_told_what(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 0)
    for name, code in ((stream, NO_DURABLE), (f"{stream}X", NO_STREAM)):
        with pytest.raises(ApiError) as refused:
            await side.control.api(f"CONSUMER.INFO.{name}.d")
        assert (refused.value.code, refused.value.err_code) == (404, code)


async def test_another_filter_never_looks_back(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "IN", "in.>")
    await make_durable(side, stream, "d", "in.a")
    await publish(side, plane, f"{side.name}.in.b")
    await publish(side, plane, f"{side.name}.in.a")
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.sequences == [2])
    await make_durable(side, stream, "d", "in.a", "in.b", action="update")
    await publish(side, plane, f"{side.name}.in.b")
    await side.eventually(lambda: taker.sequences == [2, 3])


async def test_another_filter_sees_what_was_not_looked_at(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "IN", "in.>")
    await make_durable(side, stream, "d", "in.a")
    await publish(side, plane, f"{side.name}.in.a")
    await publish(side, plane, f"{side.name}.in.b")
    await make_durable(side, stream, "d", "in.b", action="update")
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.sequences == [2])


async def test_what_is_out_comes_again_though_its_filter_is_gone(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "IN", "in.>")
    await make_durable(side, stream, "d", "in.a")
    await publish(side, plane, f"{side.name}.in.a")
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: taker.taken)
    await make_durable(side, stream, "d", "in.b", action="update")
    taker.taken[0].retry(0.1)
    await side.eventually(lambda: len(taker.taken) == 2)


async def test_a_pull_says_that_its_durable_is_gone_and_goes_on_with_a_new_one(
    side: Side, plane: Plane
) -> None:
    stream = await filled(side, plane, 2)
    await make_durable(side, stream, "d", "in.>")
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.sequences == [1, 2])
    assert taker.inflow.problem == ""
    await side.control.api(f"CONSUMER.DELETE.{stream}.d")
    await side.eventually(lambda: "durable 'd'" in taker.inflow.problem)
    more: dict[str, Any] = {"deliver_policy": "by_start_sequence", "opt_start_seq": 2}
    await make_durable(side, stream, "d", "in.>", **more)
    await side.eventually(lambda: taker.sequences == [1, 2, 2])
    assert taker.taken[2].times == 1
    await side.eventually(lambda: taker.inflow.problem == "")


async def test_a_verdict_of_before_settles_in_the_durable_that_was_made_again(
    side: Side, plane: Plane
) -> None:
    stream = await filled(side, plane, 1)
    await make_durable(side, stream, "d", "in.>")
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: len(taker.taken) == 1)
    await side.control.api(f"CONSUMER.DELETE.{stream}.d")
    await make_durable(side, stream, "d", "in.>")
    await side.eventually(lambda: len(taker.taken) == 2)
    taker.taken[0].ack()
    await side.eventually(pending(side, stream, 0))


async def test_a_reset_delivers_from_a_sequence_on_and_counts_anew(
    side: Side, plane: Plane
) -> None:
    stream = await filled(side, plane, 4)
    await make_durable(side, stream, "d", "in.>")
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.sequences == [1, 2, 3, 4])
    await side.eventually(pending(side, stream, 0))
    told = await side.control.api(f"CONSUMER.RESET.{stream}.d", {"seq": 3})
    assert told["num_pending"] == 2
    await side.eventually(lambda: taker.sequences == [1, 2, 3, 4, 3, 4])
    assert [each.number for each in taker.taken[4:]] == [1, 2]


async def test_what_is_removed_while_it_is_out_needs_no_verdict(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 3)
    await make_durable(side, stream, "d", "in.>", ack_wait=3.0)
    taker = Taker(plane, stream, "d", acks=False)
    await side.eventually(lambda: taker.sequences == [1, 2, 3])
    await side.control.forget(stream, f"{side.name}.in.>", before=2)
    await side.eventually(pending(side, stream, 2))
    await side.eventually(lambda: len(taker.taken) >= 5)
    assert 1 not in taker.sequences[3:]


async def test_what_is_removed_before_it_is_delivered_never_is(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 4)
    await make_durable(side, stream, "d", "in.>")
    await side.control.forget(stream, f"{side.name}.in.2")
    await side.control.api(f"STREAM.MSG.DELETE.{stream}", {"seq": 3})
    assert (await info(side, stream))["num_pending"] == 2
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.sequences == [1, 4])


async def test_what_another_replaces_is_not_delivered_any_more(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "IN", "in.>", max_msgs_per_subject=1)
    await make_durable(side, stream, "d", "in.>")
    for number in range(3):
        await publish(side, plane, f"{side.name}.in.a", b"%d" % number)
    taker = Taker(plane, stream, "d")
    await side.eventually(lambda: taker.payloads == [b"2"])


async def test_a_reader_without_verdicts_gets_everything_once(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane, 3)
    await make_durable(side, stream, "d", "in.>", ack_policy="none", ack_wait=0.0)
    taken: list[int] = []

    def on_delivery(_: bytes, reply: bytes, __: bytes, ___: bytes) -> None:
        taken.append(int(reply.split(b".")[-4]))
        inflow.settled()

    inflow = plane.inflow(stream, "d", limit=2, on_delivery=on_delivery)
    inflow.start()
    await side.eventually(lambda: taken == [1, 2, 3])
    found = await info(side, stream)
    assert (found["num_ack_pending"], found["num_pending"]) == (0, 0)
    assert found["delivered"]["consumer_seq"] == 3


async def create(side: Side, stream: str, which: str, action: str = "create") -> None:
    config = {
        "durable_name": "d",
        "ack_policy": "explicit",
        "filter_subjects": [f"{side.name}.{which}"],
    }
    body = {"stream_name": stream, "config": config, "action": action}
    await side.control.api(f"CONSUMER.CREATE.{stream}.d", body)


async def filled(side: Side, plane: Plane, count: int) -> str:
    stream = await make_stream(side, "IN", "in.>")
    for number in range(1, count + 1):
        await publish(side, plane, f"{side.name}.in.{number}")
    return stream


async def info(side: Side, stream: str) -> dict[str, Any]:
    return await side.control.api(f"CONSUMER.INFO.{stream}.d")


def pending(side: Side, stream: str, count: int) -> Any:
    """A condition: so many have no verdict."""

    async def is_so() -> bool:
        return bool((await info(side, stream))["num_ack_pending"] == count)

    return is_so
