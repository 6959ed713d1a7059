"""A store as version 0.2 left it: every lane in the one stream `LANES`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from jetmesh import Delivery, Policy, Service, event
from jetmesh.declare import Duration, Topology, derive
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.lanes import Origin, schedule
from jetmesh.testing import eventually
from jetmesh.transport import provision
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import Plan, durable_config
from jetmesh.transport.stored import PubAck, StoredMessage

LANES = "LANES"
CONFIG: dict[str, Any] = {
    "name": LANES,
    "description": "Slow retries and replayed dead letters, each for one handler",
    "subjects": ["lanes.>"],
    "retention": "limits",
    "storage": "file",
    "discard": "old",
    "allow_msg_schedules": True,
    "num_replicas": 1,
    "duplicate_window": 120_000_000_000,
    "allow_direct": True,
}
ACK_WAIT = 2.0
PATIENT = Policy(
    attempts=4, timeout=Duration(1), ack_wait=Duration(ACK_WAIT), backoff=Duration(0.05)
)


@event("shelf.placed", key="id")
class Placed(Struct, frozen=True):
    id: str


@event("parcel.packed", key="id", decision="parcel.*")
class Packed(Struct, frozen=True):
    id: str
    attempt: int


@dataclass
class Before:
    """A broker with what 0.2 stored for the service `pack`, whose handler is `do`."""

    control: ControlPlane
    url: str
    runs: Counter[str] = field(default_factory=Counter)
    """How often the handler ran for a key, in the version of today."""
    service: Service = field(init=False)
    sequences: dict[str, int] = field(default_factory=dict)
    """Of the origins, by key."""

    def __post_init__(self) -> None:
        self.service = Service("pack")

        @self.service.on(Placed, policy=PATIENT, name="do")
        def do(placed: Placed, delivery: Delivery) -> Packed:
            self.runs[placed.id] += 1
            return Packed(placed.id, delivery.attempt)

    @property
    def topology(self) -> Topology:
        return derive([self.service])

    async def made(self) -> Before:
        """Streams and durables as 0.2 made them."""
        lanes = {stream.name for stream in self.topology.streams if stream.schedules}
        planned = await provision.plan(self.control, self.topology)
        kept = [each for each in planned.changes if each.name.partition("/")[0] not in lanes]
        await provision.apply(self.control, Plan(tuple(kept)))
        await self.control.api(f"STREAM.CREATE.{LANES}", CONFIG)
        await self.durable("pack-do", "lanes.pack.do.*")
        return self

    async def forget_all(self) -> None:
        """Begin again, with an empty broker."""
        for stream in await self.control.holders(">"):
            await self.control.api(f"STREAM.DELETE.{stream}")
        self.sequences.clear()
        await self.made()

    async def durable(self, name: str, subject: str) -> None:
        lane = self.topology.lane_of(self.topology.handlers[0])
        config = durable_config(replace(lane, name=name, filters=(subject,)))
        body = {"stream_name": LANES, "config": config, "action": "create"}
        await self.control.api(f"CONSUMER.CREATE.{LANES}.{name}", body)

    async def origin(self, key: str, attempts: int = 1, replays: int = 0) -> Origin:
        """An input that went to the lane: it is acked on its stream."""
        if key not in self.sequences:
            put = await self.control.publish(f"shelf.placed.{key}", body_of(key))
            self.sequences[key] = put.sequence
            await self.settle(await self.pull("SHELF"))
        stored = await self.control.message("SHELF", self.sequences[key])
        assert stored is not None
        number = str(stored.sequence)
        return Origin(stored.subject, "SHELF", number, stored.stored_ns, attempts, replays)

    async def retries(self, key: str, after: float, handler: str = "do") -> PubAck:
        """A retry that waits for its time, as 0.2 wrote it."""
        origin = await self.origin(key)
        headers = {
            **origin.headers(),
            "X-Given": "caf\udce9",  # no UTF-8
            "Nats-Msg-Id": f"pack:{handler}:SHELF:{origin.token}:retry:1",
            "Jetmesh-Error": "ValueError",
            "Jetmesh-Message": "no luck",
            **schedule(f"lanes.pack.{handler}.{key}", datetime.now(UTC) + timedelta(seconds=after)),
        }
        subject = f"lanes.pack.{handler}.SHELF.{origin.token}.later"
        return await self.control.publish(subject, body_of(key), headers)

    async def is_due(self, key: str, handler: str = "do") -> None:
        """A retry whose time has come: the server put it on the lane, and took its id."""
        await self.retries(key, 0.0, handler)
        lane = f"lanes.pack.{handler}.{key}"
        await eventually(lambda: self.control.last(LANES, lane), what="a retry that is due")

    async def replays(self, key: str, letter: int) -> PubAck:
        """A dead letter that somebody replayed."""
        origin = await self.origin(key, attempts=0, replays=1)
        headers = {**origin.headers(), "Nats-Msg-Id": f"replay:{letter}-{origin.stored}"}
        return await self.control.publish(f"lanes.pack.do.{key}", body_of(key), headers)

    async def suspects(self, key: str) -> PubAck:
        """A mark of quarantine."""
        origin = await self.origin(key)
        subject = f"lanes.pack.do.SHELF.{origin.token}.suspect"
        return await self.control.publish(subject, b"", {"Jetmesh-Deaths": "2"})

    async def pull(self, stream: str = LANES) -> str:
        """Take one delivery as a process of 0.2 does; where its verdict is to be sent."""
        session = self.control._session
        inbox, subscription = await session.listen()
        asked = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.pack-do"
        await session.publish(asked, b'{"batch":1}', inbox)
        taken = await subscription.next_msg(timeout=10)
        await subscription.unsubscribe()
        return taken.reply

    async def settle(self, reply: str) -> None:
        """Return once the server has the ack."""
        await self.control._session.request(reply, b"+ACK", 5.0)

    async def prolong(self, reply: str) -> None:
        await self.control._session.publish(reply, b"+WPI")

    async def lanes(self) -> list[StoredMessage]:
        return [each async for each in self.control.history("LANES_pack", ["lanes.pack.>"])]


def body_of(key: str) -> bytes:
    return json.dumps({"id": key}).encode()


async def before(broker: Broker, control: ControlPlane) -> Before:
    return await Before(control, broker.url).made()
