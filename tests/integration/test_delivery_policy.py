"""What a policy says of messages that are not tried again: too old, or hopeless at once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from jetmesh import Delivery, Retry
from jetmesh.declare import Duration
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.lanes import Origin
from jetmesh.protocol.times import nanoseconds_of
from jetmesh.testing import Mesh, eventually
from tests.integration.one_handler import letters, stop, working


@pytest.mark.parametrize(
    ("name", "error"),
    [("LookupError", KeyError("no such thing")), ("builtins.ValueError", ValueError("wrong"))],
)
async def test_an_exception_that_the_policy_names_is_not_tried_again(
    broker: Broker, unique: str, name: str, error: Exception
) -> None:
    def work(key: str, _: Delivery) -> None:
        raise error if key == "named" else OSError("another")

    async with working(broker, unique, work, rejects=(name,), attempts=2) as (m, _, placed):
        await m.publish(placed("named"))
        await m.publish(placed("other"))
        await m.settled()
        found = {e.subject.rpartition(".")[2]: e for e in await letters(m, unique)}
        assert found["named"].headers["Jetmesh-Attempts"] == "1"
        assert found["other"].headers["Jetmesh-Attempts"] == "2"


async def test_no_attempt_begins_after_max_age(broker: Broker, unique: str) -> None:
    """Neither a first one, of a message that waited too long, nor one after a failure."""
    runs: list[str] = []

    def work(key: str, _: Delivery) -> None:
        runs.append(key)
        raise Retry("later", after=5)

    age = Duration(1)
    async with working(broker, unique, work, max_age=age, attempts=9) as (m, consumer, placed):
        await stop(m, consumer)
        await m.publish(placed("waited"))
        old = await m.publish(placed("waited-too"))
        await eventually(lambda: is_older(m, old.stream, old.sequence, 1.1), what="old messages")
        consumer.inflow.start()
        await m.publish(placed("failed"))
        await m.settled()
        found = Counter(e.headers["Jetmesh-Error"] for e in await letters(m, unique))
        assert found == {"Expired": 2, "Retry": 1}
        assert runs == ["failed"]


async def test_what_a_person_replays_is_never_too_old(broker: Broker, unique: str) -> None:
    runs: list[str] = []

    def work(key: str, _: Delivery) -> None:
        runs.append(key)

    async with working(broker, unique, work, max_age=Duration(1)) as (m, consumer, _placed):
        stream = consumer.handler.input.stream
        old = nanoseconds_of("2026-01-01T00:00:00Z")
        for replays in (0, 1):
            origin = Origin(f"{unique}-in.placed.p-{replays}", stream, "7", old, 0, replays)
            body = f'{{"order_id":"p-{replays}"}}'.encode()
            await m.publish(f"lanes.{unique}-service.do.p-{replays}", body, origin.headers())
        await m.settled()
        assert runs == ["p-1"]


async def is_older(m: Mesh, stream: str, sequence: int, seconds: float) -> bool:
    message = await m.control.message(stream, sequence)
    assert message is not None
    return (datetime.now(UTC) - message.stored_at).total_seconds() > seconds
