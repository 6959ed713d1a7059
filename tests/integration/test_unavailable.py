"""A dependency that is away burns no attempts: the handler waits, and tries with one at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from msgspec import Struct

from jetmesh import Delivery, Policy, Service, Unavailable, event
from jetmesh.declare import Duration
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.one_handler import letters


class Gateway:
    """What the handlers of these tests need."""

    def __init__(self) -> None:
        self.is_up = True
        self.broken_for: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.at_once = 0
        self.most_at_once = 0
        self.attempts: set[int] = set()

    async def call(self, key: str, delivery: Delivery) -> None:
        self.calls[key] += 1
        self.attempts.add(delivery.attempt)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.005)
        finally:
            self.at_once -= 1
        if not self.is_up or key in self.broken_for:
            raise Unavailable("the gateway does not answer")


def service_of(domain: str, gateway: Gateway, **policy: Any) -> tuple[Service, Any]:
    @event(f"{domain}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    @event(f"{domain}.paid", key="order_id", decision=f"{domain}.*")
    class Paid(Struct, frozen=True):
        order_id: str

    service = Service(f"{domain}-service")
    settings = {"attempts": 2, "backoff": Duration(0.05), "backoff_cap": Duration(0.2), **policy}

    @service.on(Placed, policy=Policy(**settings))
    async def pay(placed: Placed, delivery: Delivery) -> Paid:
        await gateway.call(placed.order_id, delivery)
        return Paid(placed.order_id)

    return service, Placed


def health(m: Mesh) -> str:
    (running,) = m.running.values()
    return "; ".join(running.health.problems())


async def test_an_outage_burns_no_attempts_and_one_delivery_at_a_time_probes(
    broker: Broker, unique: str
) -> None:
    gateway = Gateway()
    gateway.is_up = False
    service, placed = service_of(unique, gateway, concurrency=16)
    async with mesh(service, url=broker.url) as m:
        (consumer,) = m.running[service.name].consumers
        for n in range(100):
            await m.publish(placed(f"p-{n}"))
        await eventually(lambda: consumer.runner.outage.reason, what="the outage")
        await eventually(lambda: not consumer.runner.tasks, what="nobody at work")
        begun, gateway.most_at_once = gateway.calls.total(), 0
        assert len(gateway.calls) <= 16 + 2
        await eventually(lambda: gateway.calls.total() > begun + 10, what="ten more tries")
        assert gateway.most_at_once == 1
        assert await unsettled(m, consumer) <= 16 + 2, "the backlog stays on the server"
        assert "the gateway does not answer" in health(m)
        assert "one delivery at a time" in health(m)
        gateway.is_up = True
        await m.settled()
        assert health(m) == ""
        assert len(await m.stored(unique.upper())) == 100
        assert gateway.attempts == {1}
        assert await letters(m, unique) == []


async def unsettled(m: Mesh, consumer: Consumer) -> int:
    handler = consumer.handler
    info = await m.control.api(f"CONSUMER.INFO.{handler.input.stream}.{handler.durable}")
    return int(info["num_ack_pending"])


async def test_one_message_that_calls_it_an_outage_does_not_stop_the_others(
    broker: Broker, unique: str
) -> None:
    """The others refute it; after some excuses it fails like any other, and is given up."""
    gateway = Gateway()
    gateway.broken_for = {"p-0"}
    service, placed = service_of(unique, gateway)
    async with mesh(service, url=broker.url) as m:
        await m.publish(placed("p-0"))
        await eventually(lambda: gateway.calls["p-0"] > 1, what="an outage with nobody to refute")
        for n in range(1, 60):
            await m.publish(placed(f"p-{n}"))
            await asyncio.sleep(0.01)

        async def given_up() -> bool:
            return len(await letters(m, unique)) == 1

        more = 60
        async with asyncio.timeout(20):
            while not await given_up():  # an outage is refuted by somebody else only
                more += 1
                await m.publish(placed(f"p-{more}"))
                await asyncio.sleep(0.05)
        await m.settled()
        (letter,) = await letters(m, unique)
        assert letter.headers["Jetmesh-Error"] == "Unavailable"
        assert letter.headers["Jetmesh-Attempts"] == "2"
        assert len(await m.stored(unique.upper())) == more - 1


async def test_a_service_that_waits_for_its_dependency_stops_at_once(
    broker: Broker, unique: str
) -> None:
    gateway = Gateway()
    gateway.is_up = False
    service, placed = service_of(unique, gateway)
    loop = asyncio.get_running_loop()
    async with mesh(service, url=broker.url) as m:
        (consumer,) = m.running[service.name].consumers
        for n in range(5):
            await m.publish(placed(f"p-{n}"))
        await eventually(lambda: consumer.runner.outage.reason, what="the outage")
        began = loop.time()
    assert loop.time() - began < 10, "it does not wait for what cannot work: grace is 20 s"
    gateway.is_up = True
    async with mesh(service, url=broker.url) as m:
        await m.settled()
        assert len(await m.stored(unique.upper())) == 5
        assert await letters(m, unique) == []


async def test_a_def_handler_may_wait_too(broker: Broker, unique: str) -> None:
    is_up = False
    runs = 0

    @event(f"{unique}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    service = Service(f"{unique}-service")

    @service.on(Placed, policy=Policy(attempts=1, backoff=Duration(0.02)))
    def note(placed: Placed) -> None:
        nonlocal runs
        runs += 1
        if not is_up:
            raise Unavailable("the disk is away")

    async with mesh(service, url=broker.url) as m:
        (consumer,) = m.running[service.name].consumers
        for n in range(50):
            await m.publish(Placed(f"p-{n}"))
        await eventually(lambda: runs > 5, what="some tries")
        is_up = True
        await m.settled()
        assert consumer.stats.acked == 50
        assert await letters(m, unique) == []
