"""A small service, and somebody who knows what it will publish and comes first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from jetmesh import Duration, Policy, Reject, Service, event
from jetmesh.declare import derive
from jetmesh.operate import heal
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.finding import Finding
from jetmesh.operate.doctor.survey import Target, survey
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.ids import Cause
from jetmesh.settings import NatsSettings
from jetmesh.testing import Mesh, eventually, mesh
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import PubAck, StoredMessage

SOON = Policy(attempts=2, backoff=Duration(0.05), backoff_cap=Duration(0.2))
GARBAGE = b"not an event"


@dataclass(frozen=True, slots=True)
class Input:
    """An order that nobody has handled yet."""

    key: str
    stored: PubAck
    cause: Cause


class Victim:
    """Orders: `decide` gives a verdict, `note` notes, `charge` has an effect, `refuse` refuses."""

    def __init__(self, domain: str) -> None:
        @event(f"{domain}-in.placed", key="order")
        class Placed(Struct, frozen=True):
            order: str

        @event(f"{domain}.verdict.accepted", key="order", decision=f"{domain}.verdict.*")
        class Accepted(Struct, frozen=True):
            order: str

        @event(f"{domain}.verdict.refused", key="order", decision=f"{domain}.verdict.*")
        class Refused(Struct, frozen=True):
            order: str

        @event(f"{domain}.noted")
        class Noted(Struct, frozen=True):
            about: str

        @event(f"{domain}.charged", key="order")
        class Charged(Struct, frozen=True):
            order: str

        self.domain = domain
        self.stream = domain.upper()
        self.placed, self.accepted, self.noted = Placed, Accepted, Noted
        self.charges: list[str] = []
        self.service = service = Service(f"{domain}-service")

        @service.on(Placed, policy=SOON)
        def decide(placed: Placed) -> Accepted | Refused:
            return Accepted(placed.order)

        @service.on(Placed, policy=SOON)
        def note(placed: Placed) -> Noted | None:
            return Noted(placed.order) if placed.order.startswith("note") else None

        @service.on(Placed, policy=SOON)
        async def charge(placed: Placed) -> Charged | None:
            if not placed.order.startswith("charge"):
                return None
            self.charges.append(placed.order)
            return Charged(placed.order)

        @service.on(Placed, policy=SOON)
        def refuse(placed: Placed) -> None:
            if placed.order.startswith("letter"):
                raise Reject("no such order")

    @asynccontextmanager
    async def asleep(self, broker: Broker) -> AsyncIterator[ControlPlane]:
        """Its streams are there, and it does not run."""
        async with self.awake(broker):
            pass
        nats = NatsSettings(url=broker.url)
        async with await ControlPlane.connect(nats, name="attacker") as control:
            yield control

    @asynccontextmanager
    async def awake(self, broker: Broker) -> AsyncIterator[Mesh]:
        async with mesh(self.service, url=broker.url) as m:
            yield m

    async def place(self, control: ControlPlane, key: str) -> Input:
        """An order comes while the service is away."""
        stored = await control.publish(
            f"{self.domain}-in.placed.{key}", msgspec.json.encode({"order": key})
        )
        message = await control.message(stored.stream, stored.sequence)
        assert message is not None
        about = stored.stream, str(stored.sequence), message.stored_ns
        return Input(key, stored, Cause(self.service.name, "", *about))

    def id_of(self, given: Input, handler: str, effect: str) -> str:
        return given.cause._replace(handler=handler).id(effect)

    def stats(self, m: Mesh, handler: str) -> Any:
        return self.consumer(m, handler).stats

    def consumer(self, m: Mesh, handler: str) -> Any:
        running = m.running[self.service.name]
        return next(each for each in running.consumers if each.handler.name == handler)

    def problems(self, m: Mesh) -> str:
        """What its /readyz says."""
        return "; ".join(m.running[self.service.name].health.problems())


async def squat(
    control: ControlPlane, subject: str, message_id: str = "", payload: bytes = GARBAGE
) -> PubAck:
    """Come first: with an id that belongs to another message, or without one."""
    headers = {"Nats-Msg-Id": message_id} if message_id else {}
    return await control.publish(subject, payload, headers)


async def findings_of(m: Mesh, victim: Victim, code: str) -> list[Finding]:
    """What the doctor says of this kind."""
    target = Target(NatsSettings(url=m.url), derive([victim.service]))
    return [each for each in findings(await survey(target, own=False)) if each.code == code]


async def healed(m: Mesh, victim: Victim, forged: PubAck) -> None:
    """The doctor names a forged message, and it is removed as he says."""
    place = f"{forged.stream}:{forged.sequence}"
    (finding,) = await findings_of(m, victim, "forged")
    assert f"jetmesh heal {place}" in finding.remedy
    topology = derive([victim.service])
    suspect = await heal.suspect(m.control, topology, place, (finding.about,))
    await heal.remove(m.control, suspect)


async def stored_on(m: Mesh, stream: str, subject: str, *, many: int) -> list[StoredMessage]:
    """What is stored, once it is at least so much."""

    async def enough() -> bool:
        return len(await m.stored(stream, subject)) >= many

    await eventually(enough, within=30, what=f"{many} messages on {subject}")
    return await m.stored(stream, subject)
