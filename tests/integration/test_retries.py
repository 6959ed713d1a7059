"""What happens to a message that its handler cannot handle now: in place, on the lane, given up."""

from __future__ import annotations

import asyncio

import pytest

from jetmesh import Delivery, Reject, Retry
from jetmesh.declare import Duration
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.streams import lane_stream
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.testing import Mesh, eventually
from tests.integration.one_handler import letters, outcomes, state, stop, token, working


def lanes_in(unique: str) -> str:
    return lane_stream(f"{unique}-service")


@pytest.mark.parametrize("is_async", [False, True])
async def test_each_failure_is_one_attempt_and_the_last_one_makes_a_dead_letter(
    broker: Broker, unique: str, *, is_async: bool
) -> None:
    told: list[tuple[int, str]] = []

    def work(_: str, delivery: Delivery) -> None:
        told.append((delivery.attempt, delivery.cause))
        raise ValueError("no luck")

    async with working(broker, unique, work, is_async=is_async) as (m, consumer, placed):
        stored = await m.publish(placed("p-1"), headers={"Correlation-Id": "c-7"})
        await m.settled()
        cause = f"{stored.stream}:{await token(m, stored)}"
        assert told == [(1, cause), (2, cause), (3, cause), (4, cause)]
        (letter,) = await letters(m, unique)
        assert letter.headers["Jetmesh-Attempts"] == "4"
        assert letter.headers["Jetmesh-Subject"] == f"{unique}-in.placed.p-1"
        assert letter.headers["Jetmesh-Sequence"] == str(stored.sequence)
        assert letter.headers["Correlation-Id"] == "c-7"
        assert letter.payload == b'{"order_id":"p-1"}'
        assert (consumer.stats.retried, consumer.stats.dead) == (3, 1)


async def test_the_outcome_of_a_retry_has_the_first_message_as_its_cause(
    broker: Broker, unique: str
) -> None:
    def work(_: str, delivery: Delivery) -> None:
        if delivery.attempt < 3:
            raise ValueError("no luck")

    async with working(broker, unique, work) as (m, _, placed):
        stored = await m.publish(placed("p-1"))
        await m.settled()
        (outcome,) = await outcomes(m, unique)
        assert outcome.message_id == (
            f"{unique}-service:do:{stored.stream}:{await token(m, stored)}:{unique}.done.p-1"
        )
        assert outcome.payload == b'{"order_id":"p-1","attempt":3}'


async def test_the_lane_tells_attempts_and_cause_and_is_empty_afterwards(
    broker: Broker, unique: str
) -> None:

    def work(_: str, delivery: Delivery) -> None:
        if delivery.attempt == 1:
            raise Retry("the bank is closed", after=3)

    async with working(broker, unique, work) as (m, consumer, placed):
        stored = await m.publish(placed("p-1"))
        await eventually(lambda: consumer.stats.retried, what="the retry")
        (waiting,) = await m.stored(lanes_in(unique), f"lanes.{unique}-service.do.>")
        lane = f"lanes.{unique}-service.do"
        assert waiting.subject == f"{lane}.{stored.stream}.{await token(m, stored)}.later"
        assert waiting.headers["Nats-Schedule-Target"] == f"{lane}.p-1"
        assert waiting.headers["Jetmesh-Attempts"] == "1"
        assert waiting.headers["Jetmesh-Error"] == "Retry"
        assert waiting.headers["Jetmesh-Message"] == "the bank is closed"

        async def acked() -> bool:
            info = await state(m, consumer)
            floor = info["ack_floor"]["stream_seq"]
            return (info["num_ack_pending"], floor) == (0, stored.sequence)

        await eventually(acked, what="an ack of what waits on the lane")
        await m.settled()
        assert len(await outcomes(m, unique)) == 1

        async def empty() -> bool:
            return not await m.stored(lanes_in(unique), f"lanes.{unique}-service.do.>")

        await eventually(empty, what="an empty lane")


async def test_deliveries_that_were_lost_are_no_attempts(broker: Broker, unique: str) -> None:
    """Somebody takes the message nine times and dies, as processes do that are killed."""
    attempts: list[int] = []

    def work(_: str, delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if len(attempts) == 1:
            raise ValueError("no luck")

    async with working(broker, unique, work, attempts=2) as (m, consumer, placed):
        await stop(m, consumer)
        await m.publish(placed("p-1"))
        for _ in range(9):
            await lose_one(m, consumer)
        consumer.inflow.start()
        await m.settled()
        assert attempts == [1, 2]
        assert await letters(m, unique) == []
        assert len(await outcomes(m, unique)) == 1


async def lose_one(m: Mesh, consumer: Consumer) -> None:
    """Take a delivery and give it back without a word about why."""
    handler = consumer.handler
    subject = f"$JS.API.CONSUMER.MSG.NEXT.{handler.input.stream}.{handler.durable}"
    inbox, subscription = await m.control._session.listen()
    await m.control._session.publish(subject, b'{"batch":1}', inbox)
    taken = await subscription.next_msg(timeout=5)
    await m.control._session.publish(taken.reply, b'-NAK {"delay": 1}', "")
    await subscription.unsubscribe()


async def test_a_retry_that_does_not_count_is_no_attempt(broker: Broker, unique: str) -> None:
    runs = 0

    def work(_: str, delivery: Delivery) -> None:
        nonlocal runs
        runs += 1
        assert delivery.attempt == 1
        if runs < 7:
            raise Retry("not yet", after=0.02, counts=False)

    async with working(broker, unique, work, attempts=2) as (m, _, placed):
        await m.publish(placed("p-1"))
        await m.settled()
        assert runs == 7
        assert await letters(m, unique) == []
        assert len(await outcomes(m, unique)) == 1


async def test_retries_never_stop_the_flow(broker: Broker, unique: str) -> None:
    """Ten times max_ack_pending messages wait for their retry, and new ones still pass."""
    pending = 40

    def work(key: str, _: Delivery) -> None:
        if key.startswith("bad"):
            raise Retry("not now", after=60)

    async with working(broker, unique, work, max_ack_pending=pending, concurrency=8, batch=32) as (
        m,
        consumer,
        placed,
    ):
        await asyncio.gather(*(m.publish(placed(f"bad-{n}")) for n in range(pending * 10)))
        good = [await m.publish(placed(f"good-{n}")) for n in range(50)]

        async def passed() -> bool:
            return len(await outcomes(m, unique)) == len(good)

        await eventually(passed, what="an outcome for each good one")

        async def moved() -> bool:
            info = await state(m, consumer)
            return bool(info["ack_floor"]["stream_seq"] == good[-1].sequence)

        await eventually(moved, what="an ack floor behind the last one")
        waiting = await m.stored(lanes_in(unique), f"lanes.{unique}-service.do.*.*.later")
        assert len(waiting) == pending * 10
        await m.control.forget(lanes_in(unique), f"lanes.{unique}-service.do.>")


async def test_many_quick_retries_do_not_fill_what_may_be_pending(
    broker: Broker, unique: str
) -> None:
    """A few wait in place; the others leave at once for the lane."""

    def work(key: str, delivery: Delivery) -> None:
        if key.startswith("bad") and delivery.attempt < 3:
            raise ValueError("no luck")

    slow = Duration(1)
    async with working(broker, unique, work, max_ack_pending=32, concurrency=8, backoff=slow) as (
        m,
        consumer,
        placed,
    ):
        await asyncio.gather(*(m.publish(placed(f"bad-{n}")) for n in range(320)))
        good = await m.publish(placed("good"))
        # behind all of the others it would come after twenty seconds
        await eventually(lambda: m.control.last(unique.upper(), f"{unique}.done.good"))

        async def few_pending() -> bool:
            info = await state(m, consumer)
            past = info["delivered"]["stream_seq"] >= good.sequence
            return bool(past and info["num_ack_pending"] <= 32 // 8)

        await eventually(few_pending, what="few that wait in place")
        await m.settled(within=30)
        assert len(await outcomes(m, unique)) == 321
        assert await letters(m, unique) == []


async def test_a_message_typed_on_a_lane_by_hand_is_dead_lettered(
    broker: Broker, unique: str
) -> None:
    runs: list[str] = []

    def work(key: str, _: Delivery) -> None:
        runs.append(key)

    async with working(broker, unique, work) as (m, _, _placed):
        await m.publish(f"lanes.{unique}-service.do.p-1", b'{"order_id":"p-1"}')
        headers = {
            "Jetmesh-Subject": "elsewhere.placed",
            "Jetmesh-Stream": "ELSEWHERE",
            "Jetmesh-Sequence": "1",
            "Jetmesh-Stored-At": "2026-01-01T00:00:00",
        }
        await m.publish(f"lanes.{unique}-service.do.p-2", b'{"order_id":"p-2"}', headers)
        await m.settled()
        first, second = await letters(m, unique)
        assert first.headers["Jetmesh-Error"] == second.headers["Jetmesh-Error"] == "Reject"
        assert "Jetmesh-Subject" in first.headers["Jetmesh-Message"]
        assert "ELSEWHERE" in second.headers["Jetmesh-Message"]
        assert runs == []


async def test_garbage_on_a_lane_is_dead_lettered(broker: Broker, unique: str) -> None:
    async with working(broker, unique, lambda *_: None) as (m, _, _placed):
        headers = {
            "Jetmesh-Subject": f"{unique}-in.placed",
            "Jetmesh-Stream": f"{unique}-in".upper().replace("-", "_"),
            "Jetmesh-Sequence": "1",
            "Jetmesh-Stored-At": "2026-01-01T00:00:00",
        }
        await m.publish(f"lanes.{unique}-service.do._", b"\xff\x00{", headers)
        await m.settled()
        (letter,) = await letters(m, unique)
        assert letter.headers["Jetmesh-Error"] == "ContractViolation"
        assert letter.headers["Jetmesh-Where"] == "field $"
        assert letter.payload == b"\xff\x00{"


async def test_a_message_that_is_too_large_for_the_lane_waits_in_place(
    broker: Broker, unique: str
) -> None:
    """With the headers of a lane it would be larger than the server's max_payload."""
    attempts: list[int] = []

    def work(_: str, delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if len(attempts) < 4:
            raise ValueError("no luck")

    async with working(broker, unique, work) as (m, _, _placed):
        largest = (1 << 20) - 60
        body = b'{"order_id":"p-1","_":"' + b"x" * (largest - 25) + b'"}'
        await m.publish(f"{unique}-in.placed.p-1", body)
        await m.settled()
        assert attempts == [1, 2, 3, 4]
        assert await letters(m, unique) == []
        assert len(await outcomes(m, unique)) == 1


async def test_a_retry_outlives_its_service(broker: Broker, unique: str) -> None:
    """Stopped while a message waits on the lane, it goes on there with the second attempt."""
    fails = True

    def work(_: str, delivery: Delivery) -> None:
        if fails:
            raise Retry("later", after=2.5)
        assert delivery.attempt == 2

    async with working(broker, unique, work) as (m, consumer, placed):
        await m.publish(placed("p-1"))
        await eventually(lambda: consumer.stats.retried, what="the retry")
    fails = False
    async with working(broker, unique, work) as (m, consumer, placed):
        await m.settled()
        assert len(await outcomes(m, unique)) == 1
        assert consumer.stats.delivered == 1


async def test_a_rejected_delivery_of_a_lane_is_dead_lettered_with_its_origin(
    broker: Broker, unique: str
) -> None:
    def work(_: str, delivery: Delivery) -> None:
        if delivery.attempt == 1:
            raise Retry("look again", after=2.5)
        raise Reject("never")

    async with working(broker, unique, work) as (m, _, placed):
        stored = await m.publish(placed("p-1"))
        await m.settled()
        (letter,) = await letters(m, unique)
        assert letter.headers["Jetmesh-Stream"] == stored.stream
        assert letter.headers["Jetmesh-Sequence"] == str(stored.sequence)
        assert letter.headers["Jetmesh-Attempts"] == "2"
