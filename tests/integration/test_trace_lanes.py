"""What waits on a lane is told by a trace, whatever became of the lane."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from msgspec import Struct

from jetmesh import Delivery, Record, Service
from jetmesh.declare import Handler, Topology, derive
from jetmesh.errors import Retry
from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.deadletters.letter import Selector
from jetmesh.operate.deadletters.store import select
from jetmesh.operate.trace import Step, trace
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from tests.integration.one_handler import Work, working

GONE = "-service has no durable of this handler"


def later(_: str, __: Delivery) -> None:
    raise Retry("the bank is closed", after=3600.0)


def never(_: str, __: Delivery) -> None:
    raise ValueError("no luck")


@dataclass
class Left:
    """What a service left behind that was stopped."""

    control: ControlPlane
    topology: Topology
    handler: Handler
    key: str
    """Of its own: other tests leave letters and lanes on the same broker."""

    @property
    def name(self) -> str:
        return f"{self.handler.service}.{self.handler.name}"

    async def story(self) -> list[Step]:
        return await trace(self.control, self.topology, self.key)

    async def delete_lane(self) -> None:
        await self.control.api(
            f"CONSUMER.DELETE.LANES_{self.handler.service}.{self.handler.durable}"
        )


@asynccontextmanager
async def left_behind(broker: Broker, domain: str, work: Work) -> AsyncIterator[Left]:
    """A service that failed, and was stopped: a running one would make its lane again."""
    async with working(broker, domain, work, attempts=2 if work is later else 1) as (
        m,
        one,
        placed,
    ):
        await m.publish(placed(domain))
        await eventually(lambda: one.stats.retried + one.stats.dead, what="its verdict")
        topology, handler = derive([m.running[f"{domain}-service"]._service]), one.handler
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        yield Left(control, topology, handler, domain)


async def test_a_retry_on_a_lane_is_told_with_its_time(broker: Broker, unique: str) -> None:
    async with left_behind(broker, unique, later) as left:
        (step,) = await left.story()
        (wait,) = step.waits
        assert wait.startswith(f"{left.name} tries again at ")
        assert wait.endswith(", attempt 2 (Retry: the bank is closed)")


async def test_a_retry_on_a_lane_that_was_deleted_is_told_to_wait_for_ever(
    broker: Broker, unique: str
) -> None:
    async with left_behind(broker, unique, later) as left:
        await left.delete_lane()
        (step,) = await left.story()
        (wait,) = step.waits
        assert "attempt 2 (Retry: the bank is closed)" in wait
        assert GONE in wait


async def test_what_was_replayed_onto_a_lane_is_told(own_broker: Broker, unique: str) -> None:
    async with left_behind(own_broker, unique, never) as left:
        (number,) = (await select(left.control, Selector())).sequences
        desk = Desk(left.control, by="test")
        await desk.send(await desk.prepare(await desk.open(number)))
        (step, letter) = await left.story()
        assert step.waits == (f"{left.name} has it on its lane, attempt 1 (replayed)",)
        assert letter.waits == ()
        await left.delete_lane()
        (step, _) = await left.story()
        assert GONE in step.waits[0]
        await left.control.forget(left.handler.input.stream, ">")
        (letter,) = await left.story()
        assert GONE in letter.waits[0]  # the event itself is not stored any more


async def test_what_waits_for_a_handler_that_nobody_declares_is_told(
    broker: Broker, unique: str
) -> None:
    class Board:
        def apply(self, event: Struct, record: Record) -> None: ...

    reader = Service(f"{unique}-reader")
    async with left_behind(broker, unique, later) as left:
        await left.delete_lane()
        reader.read_model(Board, events=[left.handler.input.type])
        left.topology = derive([reader])
        (step,) = await left.story()
        assert step.waits[0].startswith(f"{left.name} tries again at ")
        assert GONE in step.waits[0]


async def test_without_the_stream_of_lanes_a_trace_says_what_may_be_lost(
    own_broker: Broker, unique: str
) -> None:
    async with left_behind(own_broker, unique, later) as left:
        await left.control.api(f"STREAM.DELETE.LANES_{unique}-service")
        (step,) = await left.story()
        (wait,) = step.waits
        assert f"it is lost: there is no stream LANES_{unique}-service" in wait


@pytest.mark.parametrize("payload", [b"", b"no json", b"{}", b'{"stored": 5}'])
async def test_what_somebody_typed_into_our_streams_ends_no_trace(
    own_broker: Broker, unique: str, payload: bytes
) -> None:
    async with left_behind(own_broker, unique, later) as left:
        await left.control.publish(f"refusals.x.y.{left.key}", payload)
        await left.control.publish(
            f"lanes.{left.handler.service}.y.{left.key}", payload, {"Jetmesh-Attempts": "many"}
        )
        odd = {"Jetmesh-Stream": "no stream", "Jetmesh-Sequence": "5"}
        await left.control.publish(f"deadletters.x.y.{left.key}", payload, odd)
        kinds = [step.kind for step in await left.story()]
        assert sorted(kinds) == ["dead letter", "event", "refusal"]
