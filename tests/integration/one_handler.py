"""A mesh with one handler that does what a test wants, and what became of its messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from jetmesh import Delivery, Policy, Service, event
from jetmesh.declare import Duration, Topology, derive
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.testing import Mesh, mesh
from jetmesh.transport.stored import PubAck

Work = Callable[[str, Delivery], None]
SOON = Duration(0.02)


@asynccontextmanager
async def working(
    broker: Broker, domain: str, work: Work, *, is_async: bool = False, **policy: Any
) -> AsyncIterator[tuple[Mesh, Consumer, Any]]:
    """A mesh with one handler that does `work`, its consumer and its event."""

    @event(f"{domain}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    @event(f"{domain}.done", key="order_id", decision=f"{domain}.*")
    class Done(Struct, frozen=True):
        order_id: str
        attempt: int

    service = Service(f"{domain}-service")
    policy = {"attempts": 4, "backoff": SOON, **policy}

    def inline(placed: Placed, delivery: Delivery) -> Done:
        work(placed.order_id, delivery)
        return Done(placed.order_id, delivery.attempt)

    async def effect(placed: Placed, delivery: Delivery) -> Done:
        return inline(placed, delivery)

    service.on(Placed, policy=Policy(**policy), name="do")(effect if is_async else inline)
    async with mesh(service, url=broker.url) as m:
        yield m, m.running[service.name].consumers[0], Placed


async def letters(m: Mesh, domain: str) -> list[Any]:
    return await m.stored("DEADLETTERS", f"deadletters.{domain}-service.>")


async def outcomes(m: Mesh, domain: str) -> list[Any]:
    return await m.stored(domain.upper())


async def stop(m: Mesh, consumer: Consumer) -> None:
    """Pull no more, and know that nothing is on its way."""
    consumer.inflow.stop()
    await m.running[consumer.handler.service]._plane.flush()


async def state(m: Mesh, consumer: Consumer) -> dict[str, Any]:
    handler = consumer.handler
    return await m.control.api(f"CONSUMER.INFO.{handler.input.stream}.{handler.durable}")


def topology_of(m: Mesh) -> Topology:
    return derive([running._service for running in m.running.values()])


async def token(m: Mesh, stored: PubAck) -> str:
    """What names a stored message beside its stream: `<sequence>-<nanoseconds>`."""
    message = await m.control.message(stored.stream, stored.sequence)
    assert message is not None
    return f"{stored.sequence}-{message.stored_ns}"
