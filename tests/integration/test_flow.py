"""One service on a real broker: consume, decide, publish guarded, ack."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from jetmesh import Delivery, Policy, Reject, Retry, Service, event
from jetmesh.declare import Duration
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually, mesh


@dataclass
class Shop:
    """Events and a service with names of its own."""

    placed: Any
    accepted: Any
    refused: Any
    service: Service


def shop(unique: str, decide: Callable[[Any, Any, Any], Any] | None = None) -> Shop:
    @event(f"{unique}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str
        amount: int = 0

    @event(f"{unique}.accepted", key="order_id", decision=f"{unique}.*")
    class Accepted(Struct, frozen=True):
        order_id: str
        amount: int = 0

    @event(f"{unique}.refused", key="order_id", decision=f"{unique}.*")
    class Refused(Struct, frozen=True):
        order_id: str

    service = Service(f"{unique}-service")

    @service.on(Placed, policy=Policy(attempts=3, backoff=Duration(0.02)))
    def decide_it(placed: Placed) -> Accepted | Refused | None:
        if decide is not None:
            result: Accepted | Refused | None = decide(placed, Accepted, Refused)
            return result
        return Accepted(placed.order_id, placed.amount)

    return Shop(Placed, Accepted, Refused, service)


async def test_an_event_typed_without_a_key_gets_its_outcome(broker: Broker, unique: str) -> None:
    s = shop(unique)
    async with mesh(s.service, url=broker.url) as m:
        await m.publish(f"{unique}-in.placed", '{"order_id": "p-1", "amount": 3, "new": true}')
        assert await m.expect(s.accepted, "p-1") == s.accepted("p-1", 3)
        await m.settled()


async def test_the_same_key_twice_has_one_outcome_and_the_second_is_visible(
    broker: Broker, unique: str
) -> None:
    s = shop(unique)
    async with mesh(s.service, url=broker.url) as m:
        await m.publish(s.placed("p-1", 1))
        await m.publish(s.placed("p-1", 2))
        await m.settled()
        outcomes = await m.stored(unique.upper())
        assert [o.subject for o in outcomes] == [f"{unique}.accepted.p-1"]
        marks = await m.stored("REFUSALS", f"refusals.{unique}-service.>")
        assert [msgspec.json.decode(mark.payload)["sequence"] for mark in marks] == [2]
        assert m.running[s.service.name].consumers[0].stats.refused == 1


async def test_garbage_is_dead_lettered_at_once_and_others_flow_on(
    broker: Broker, unique: str
) -> None:
    s = shop(unique)
    bad = [b"no json", b"", b'{"order_id": 3}', b"{}", b'{"order_id": ""}', b"x" * 900_000]
    bad.append(b"[" * 100_000)
    bad.append(msgspec.json.encode({"order_id": "k" * 300}))
    async with mesh(s.service, url=broker.url) as m:
        for payload in bad:
            await m.publish(f"{unique}-in.placed", payload)
        await m.publish(s.placed("p-1"))
        await m.expect(s.accepted, "p-1")
        await m.settled()
        letters = await m.stored("DEADLETTERS", f"deadletters.{unique}-service.>")
        assert [letter.payload for letter in letters] == bad
        assert {letter.headers["Jetmesh-Attempts"] for letter in letters} == {"1"}
        assert "$.order_id" in letters[2].headers["Jetmesh-Message"]


async def test_a_failing_handler_is_tried_again_and_then_dead_lettered(
    broker: Broker, unique: str
) -> None:
    tries: list[str] = []

    def decide(placed: Any, accepted: Any, _: Any) -> Any:
        tries.append(placed.order_id)
        if placed.order_id == "rejects":
            raise Reject("never")
        if placed.order_id == "retries" and tries.count("retries") < 3:
            raise Retry("not yet", after=0.01)
        if placed.order_id == "fails":
            raise RuntimeError("always")
        if placed.order_id == "lies":
            return 5
        return accepted(placed.order_id)

    s = shop(unique, decide)
    async with mesh(s.service, url=broker.url) as m:
        for key in ("rejects", "retries", "fails", "lies"):
            await m.publish(s.placed(key))
        await m.expect(s.accepted, "retries")
        await m.settled()
        letters = await m.stored("DEADLETTERS", f"deadletters.{unique}-service.>")
        assert sorted(
            (letter.subject.rpartition(".")[2], letter.headers["Jetmesh-Error"])
            for letter in letters
        ) == [("fails", "RuntimeError"), ("lies", "UndeclaredOutput"), ("rejects", "Reject")]
        assert tries.count("fails") == 3
        assert tries.count("lies") == 1


async def test_many_events_each_have_one_outcome_in_order(broker: Broker, unique: str) -> None:
    s = shop(unique)
    async with mesh(s.service, url=broker.url) as m:
        await asyncio.gather(*(m.publish(s.placed(f"p-{i}", i)) for i in range(3000)))
        stats = m.running[s.service.name].consumers[0].stats
        await eventually(lambda: stats.acked == 3000, within=20)
        outcomes = await m.stored(unique.upper())
        assert len({o.subject for o in outcomes}) == len(outcomes) == 3000
        await m.settled()


async def test_an_effect_happens_once_for_a_decided_key(broker: Broker, unique: str) -> None:
    runs: list[str] = []

    @event(f"{unique}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    @event(f"{unique}.paid", key="order_id", decision=f"{unique}.*")
    class Paid(Struct, frozen=True):
        order_id: str
        attempt: int

    service = Service(f"{unique}-service")

    @service.on(Placed)
    async def pay(placed: Placed, delivery: Delivery) -> Paid:
        runs.append(delivery.cause)
        assert delivery.key == placed.order_id
        return Paid(placed.order_id, delivery.attempt)

    async with mesh(service, url=broker.url) as m:
        await m.publish(Placed("p-1"))
        await m.expect(Paid, "p-1")
        await m.publish(Placed("p-1"))
        await m.settled()
        assert len(runs) == 1
        assert len(await m.stored("REFUSALS", f"refusals.{unique}-service.>")) == 1
