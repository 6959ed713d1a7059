"""Dead letters as services write them, and a desk to work on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time_ns
from typing import Annotated, Any

from msgspec import Meta, Struct

from jetmesh import Service, event
from jetmesh.declare import Topology, derive
from jetmesh.operate.deadletters.desk import Desk, Outcome
from jetmesh.operate.deadletters.letter import Selector
from jetmesh.operate.deadletters.store import find, notes, select
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.times import time_text
from jetmesh.transport import provision
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage
from tests.integration.planes import settings_of


async def put_letter(
    control: ControlPlane,
    service: str,
    handler: str,
    key: str = "p-1",
    *,
    payload: bytes = b"{}",
    sequence: int = 5,
    **more: str,
) -> int:
    """Store one letter and return its number; `more` are headers, as `error="ValueError"`."""
    given = {f"Jetmesh-{name.replace('_', '-').title()}": text for name, text in more.items()}
    now = time_ns()
    replays = f":{more['replays']}" if "replays" in more else ""
    headers = {
        "Nats-Msg-Id": f"{service}:{handler}:ORDERS:{sequence}-{now}:deadletter{replays}",
        "Jetmesh-Subject": f"orders.validated.{key}",
        "Jetmesh-Stream": "ORDERS",
        "Jetmesh-Sequence": str(sequence),
        "Jetmesh-Service": service,
        "Jetmesh-Version": "1.0.0",
        "Jetmesh-Handler": handler,
        "Jetmesh-Attempts": "5",
        "Jetmesh-Error": "ValueError",
        "Jetmesh-Message": "no luck",
        "Jetmesh-Where": "shop/payments.py:88 in charge",
        "Jetmesh-Fingerprint": f"{abs(hash((service, handler))) % 16**12:012x}",
        "Jetmesh-Stored-At": time_text(now),
        "Jetmesh-Failed-At": datetime.now(UTC).isoformat(),
        "Correlation-Id": "c-1",
    }
    subject = f"deadletters.{service}.{handler}.{key}"
    return (await control.publish(subject, payload, headers | given)).sequence


def desk_of(control: ControlPlane, *, by: str = "ana@desk", **more: Any) -> Desk:
    return Desk(control, by=by, **more)


async def open_letters(control: ControlPlane, service: str) -> list[int]:
    return [*(await select(control, Selector(service=service))).sequences]


async def lane(control: ControlPlane, service: str) -> list[StoredMessage]:
    return [m async for m in control.history(f"LANES_{service}", [f"lanes.{service}.>"])]


async def make_handler(control: ControlPlane, topology: Topology) -> None:
    """Streams and durables without a service that would pull them: a lane keeps what it gets."""
    await provision.apply(control, await provision.plan(control, topology))


@dataclass
class Scene:
    """A handler that nobody runs, so that its lane keeps what it gets."""

    control: ControlPlane
    service: str
    topology: Topology

    async def letter(self, key: str = "p-1", **more: Any) -> int:
        return await put_letter(self.control, self.service, "charge", key, **more)

    async def replay(self, number: int, desk: Desk | None = None) -> Outcome:
        desk = desk or desk_of(self.control)
        return await desk.send(await desk.prepare(await desk.open(number)))

    async def noted(self, number: int) -> list[Any]:
        letter = await find(self.control, number)
        return [*(await notes(self.control, [letter]))[number]]


@asynccontextmanager
async def desk_scene(broker: Broker, unique: str) -> AsyncIterator[Scene]:
    @event(f"{unique}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str
        amount: Annotated[int, Meta(gt=0)] = 1

    service = Service(f"{unique}-pay")

    @service.on(Placed)
    def charge(placed: Placed) -> None: ...

    topology = derive([service])
    async with await ControlPlane.connect(settings_of(broker), name="test") as control:
        await make_handler(control, topology)
        yield Scene(control, service.name, topology)
