"""The history of a read model, while its consumer, its connection and its broker come and go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from msgspec import Struct
from structlog.testing import capture_logs

from jetmesh import Record, event
from jetmesh.declare import SlotSpec, spec_of
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.projection import Projection
from jetmesh.runtime.slots import Slots
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from tests.integration.planes import both, publish


class Reader:
    """A read model that remembers what it folded."""

    def __init__(self, unique: str, plane: DataPlane, control: ControlPlane) -> None:
        @event(f"{unique}.told", key="id")
        class Told(Struct, frozen=True):
            id: str

        spec = spec_of(Told)
        assert spec is not None
        self.folded: list[int] = []
        self.seconds = 0.0
        """How long it takes to fold one event."""
        self.stream = unique.upper()
        names = [f"{unique}-Reader-{number}" for number in (1, 2, 3)]
        filters = (f"{unique}.told", f"{unique}.told.*")
        specs = [SlotSpec(self.stream, name, filters, f"{unique}.Reader") for name in names]
        self.slots = Slots(specs, control, applies=True)
        self.projection = Projection(
            self.stream, [spec], self.apply, slots=self.slots, plane=plane, control=control
        )

    def apply(self, _: object, record: Record) -> None:
        self.folded.append(record.sequence)
        time.sleep(self.seconds)


@asynccontextmanager
async def reading(
    broker: Broker, unique: str, count: int
) -> AsyncIterator[tuple[Reader, DataPlane, ControlPlane, Callable[[int], Awaitable[None]]]]:
    nats = NatsSettings(url=broker.url)
    async with both(nats) as (plane, control), DataPlane(nats, name="writer") as writer:
        await control.api(
            f"STREAM.CREATE.{unique.upper()}",
            {"name": unique.upper(), "subjects": [f"{unique}.>"]},
        )

        async def write(number: int) -> None:
            told = (publish(writer, f"{unique}.told.{i}", b'{"id":"a"}') for i in range(number))
            await asyncio.gather(*told)

        await write(count)
        reader = Reader(unique, plane, control)
        reader.projection.start()
        yield reader, plane, control, write
        reader.projection.stop()


async def test_a_read_model_survives_a_restart_of_the_broker(
    own_broker: Broker, unique: str
) -> None:
    async with reading(own_broker, unique, 3000) as (reader, _, __, write):
        await eventually(lambda: len(reader.folded) > 500)
        await asyncio.to_thread(own_broker.stop)
        await asyncio.to_thread(own_broker.start)
        await write(500)
        await eventually(lambda: len(reader.folded) >= 3500)
        assert reader.folded == [*range(1, 3501)]
        assert reader.projection.problem == ""


async def test_a_read_model_survives_the_loss_of_its_consumer(broker: Broker, unique: str) -> None:
    async with reading(broker, unique, 100) as (reader, _, control, write):
        await eventually(lambda: len(reader.folded) == 100)
        names = (await control.api(f"CONSUMER.NAMES.{reader.stream}"))["consumers"]
        for name in names:
            await control.api(f"CONSUMER.DELETE.{reader.stream}.{name}")
        await write(100)
        await eventually(lambda: len(reader.folded) >= 200)
        assert reader.folded == [*range(1, 201)]


async def test_a_read_model_has_no_gap_after_a_lost_connection(broker: Broker, unique: str) -> None:
    """The last deliveries are lost with the connection, and nothing follows them."""
    async with reading(broker, unique, 10) as (reader, plane, control, write):
        await eventually(lambda: len(reader.folded) == 10)
        link = plane._link
        assert link is not None
        assert link._transport is not None
        link._transport.pause_reading()
        await write(50)

        async def sent() -> bool:
            """The server has delivered them all, into a socket that nobody reads."""
            infos = (await control.api(f"CONSUMER.LIST.{reader.stream}"))["consumers"]
            return max(int(info["delivered"]["consumer_seq"]) for info in infos) == 60

        await eventually(sent, what="deliveries on their way")
        assert len(reader.folded) == 10
        link.abort("lost")
        await eventually(lambda: len(reader.folded) >= 60, within=5)
        assert reader.folded == [*range(1, 61)]


async def test_a_slow_read_model_leaves_the_loop_to_others(broker: Broker, unique: str) -> None:
    async with reading(broker, unique, 0) as (reader, _, __, write):
        await eventually(lambda: reader.projection.caught_up)
        reader.seconds = 0.01
        await write(200)
        longest = 0.0
        while len(reader.folded) < 200:
            began = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - began)
        assert longest < 1
        assert reader.folded == [*range(1, 201)]
        assert reader.projection.problem == ""


async def test_a_read_model_that_keeps_the_loop_is_named_once(broker: Broker, unique: str) -> None:
    async with reading(broker, unique, 0) as (reader, _, __, write):
        reader.seconds = 0.11
        with capture_logs() as logged:
            await write(5)
            await eventually(lambda: len(reader.folded) == 5)
        named = [line for line in logged if line["event"] == "the read model keeps the event loop"]
        assert [line["stream"] for line in named] == [reader.stream]
        assert reader.projection.slow_folds == 5


async def test_what_waits_to_be_folded_is_forgotten_when_it_begins_anew(
    broker: Broker, unique: str
) -> None:
    async with reading(broker, unique, 0) as (reader, _, __, write):
        await eventually(lambda: reader.projection.caught_up)
        reader.seconds = 0.01
        await write(50)
        await eventually(lambda: len(reader.folded) > 5)
        reader.folded.clear()
        reader.projection.begin_anew()
        await eventually(lambda: len(reader.folded) >= 50)
        assert reader.folded == [*range(1, 51)]
