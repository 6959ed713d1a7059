"""The two sides that must behave alike: the simulation, and the data plane on a real nats-server.

A test says what it does to a `Side` and what is to come of it. Time passes at both: at the real one
it is waited for, at the simulated one the clock is moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any, Protocol, TypeAlias

from jetmesh import wire
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.testing.simulation import SECOND, Connection, Control, Server
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.seam import Message, Transport
from jetmesh.transport.stored import StoredMessage

NO_HEADERS = b"NATS/1.0\r\n\r\n"
_LOOK_SECONDS = 0.05
Plane: TypeAlias = DataPlane | Connection


class Side(Protocol):
    """Where a test is at home."""

    name: str
    """A domain that no other test uses."""

    @property
    def control(self) -> ControlPlane | Control:
        """What is asked beside messages."""

    @property
    def now(self) -> float:
        """Seconds, from any point on."""

    async def connect(self) -> Plane:
        """The connection of one more process."""

    async def eventually(self, condition: Callable[[], Any], *, within: float = 30.0) -> Any:
        """Let happen what does, until the condition is true; what it was.

        Raises:
            AssertionError: it is not true in time.
        """

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and happen what does."""

    def cut(self, plane: Plane) -> None:
        """Lose a connection."""

    async def mend(self, plane: Plane) -> None:
        """Have a connection again."""

    async def crash(self, plane: Plane) -> None:
        """End a process without a word."""


class Simulated:
    """In memory, at a time of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.server = Server()
        self.control = Control(self.server)
        self._count = 0

    @property
    def now(self) -> float:
        return self.server.clock.now / SECOND

    async def connect(self) -> Connection:
        self._count += 1
        return Connection(self.server, f"process {self._count}")

    async def eventually(self, condition: Callable[[], Any], *, within: float = 30.0) -> Any:
        end = self.now + within
        while True:
            await self._happen()
            found = condition()
            found = await found if asyncio.iscoroutine(found) else found
            if found:
                return found
            assert self.now < end, f"not true within {within} s"
            self.server.pass_time(_LOOK_SECONDS)

    async def pass_time(self, seconds: float) -> None:
        await self._happen()
        self.server.pass_time(seconds)
        await self._happen()

    def cut(self, plane: Plane) -> None:
        assert isinstance(plane, Connection)
        plane.cut()

    async def mend(self, plane: Plane) -> None:
        assert isinstance(plane, Connection)
        plane.mend()

    async def crash(self, plane: Plane) -> None:
        assert isinstance(plane, Connection)
        plane.crash()

    async def _happen(self) -> None:
        """All that is on its way, and what whoever waits for it does then."""
        while self.server.run():
            for _ in range(10):
                await asyncio.sleep(0)


class Real:
    """A nats-server, the two planes of the mesh, and the time that it takes."""

    def __init__(self, name: str, broker: Broker, control: ControlPlane) -> None:
        self.name = name
        self.control = control
        self.stack = AsyncExitStack()
        self._settings = NatsSettings(url=broker.url)

    @property
    def now(self) -> float:
        return monotonic()

    async def connect(self) -> DataPlane:
        return await self.stack.enter_async_context(DataPlane(self._settings, name=self.name))

    async def eventually(self, condition: Callable[[], Any], *, within: float = 30.0) -> Any:
        return await eventually(condition, within=within)

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def cut(self, plane: Plane) -> None:
        assert isinstance(plane, DataPlane)
        assert plane._link is not None
        plane._link.abort("cut")

    async def mend(self, plane: Plane) -> None:
        """It connects by itself."""
        assert isinstance(plane, DataPlane)
        await eventually(lambda: plane._up, within=30)

    async def crash(self, plane: Plane) -> None:
        assert isinstance(plane, DataPlane)
        await plane.close()


class Fate:
    """Waits for what becomes of one publish (`seam.Waiter`)."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_stored(self, answer: bytes) -> None:
        del answer
        self.told.append("stored")

    def on_duplicate(self, message: Message, sequence: int) -> None:
        del message
        self.told.append(f"duplicate of {sequence}")

    def on_decided(self) -> None:
        self.told.append("decided")

    def on_impossible(self, reason: str) -> None:
        self.told.append(f"impossible: {reason}")


def send(plane: Plane, subject: str, payload: bytes = b"{}", **headers: str) -> Fate:
    """Publish, and do not wait."""
    fate = Fate()
    block = wire.block({_header(name): value for name, value in headers.items()})
    transport: Transport = plane
    transport.publish(subject.encode(), block, payload, fate)
    return fate


async def publish(
    side: Side, plane: Plane, subject: str, payload: bytes = b"{}", **headers: str
) -> str:
    """Publish, and wait for the fate."""
    fate = send(plane, subject, payload, **headers)
    await side.eventually(lambda: fate.told)
    (told,) = fate.told
    return told


_NAMES: Mapping[str, str] = {
    "id": "Nats-Msg-Id",
    "last": "Nats-Expected-Last-Subject-Sequence",
    "on": "Nats-Expected-Last-Subject-Sequence-Subject",
    "at": "Nats-Schedule",
    "target": "Nats-Schedule-Target",
    "scheduler": "Nats-Scheduler",
    "next": "Nats-Schedule-Next",
    "rollup": "Nats-Rollup",
}


def _header(name: str) -> str:
    return _NAMES.get(name, name)


class Taker:
    """Takes the deliveries of a durable, and does with each what a test says."""

    def __init__(
        self,
        plane: Plane,
        stream: str,
        durable: str,
        *,
        limit: int = 100,
        acks: bool = True,
    ) -> None:
        self.taken: list[Taken] = []
        self.acks = acks
        self.plane = plane
        self.inflow = plane.inflow(stream, durable, limit=limit, on_delivery=self._on_delivery)
        self.inflow.start()

    @property
    def sequences(self) -> list[int]:
        return [each.sequence for each in self.taken]

    @property
    def payloads(self) -> list[bytes]:
        return [each.payload for each in self.taken]

    def _on_delivery(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        taken = Taken(self, subject.decode(), reply, headers, payload)
        self.taken.append(taken)
        if self.acks:
            taken.ack()


class Taken:
    """One delivery."""

    def __init__(
        self, taker: Taker, subject: str, reply: bytes, headers: bytes, payload: bytes
    ) -> None:
        self.subject = subject
        self.reply = reply
        self.headers = headers
        self.payload = payload
        numbers = reply.decode().split(".")[-5:]
        self.times, self.sequence, self.number, self.stored_ns, self.left = map(int, numbers)
        self._taker = taker

    def ack(self) -> None:
        self._taker.plane.ack(self.reply)
        self._taker.inflow.settled()

    def retry(self, delay: float) -> None:
        self._taker.plane.retry(self.reply, delay)
        self._taker.inflow.settled()

    def terminate(self) -> None:
        self._taker.plane.terminate(self.reply, "a reason")
        self._taker.inflow.settled()

    def progress(self) -> None:
        self._taker.plane.progress(self.reply)


async def make_stream(side: Side, name: str, *subjects: str, **more: Any) -> str:
    """A stream of the side's domain; its name."""
    stream = f"{side.name}{name}".upper()
    taken = [f"{side.name}.{each}" for each in subjects]
    config = {"name": stream, "subjects": taken, "storage": "memory", "allow_direct": True, **more}
    await side.control.api(f"STREAM.CREATE.{stream}", config)
    return stream


async def make_durable(
    side: Side,
    stream: str,
    name: str,
    *filters: str,
    ack_wait: float = 60.0,
    action: str = "",
    **more: Any,
) -> None:
    """A durable of what matches the filters, in the side's domain."""
    config = {
        "durable_name": name,
        "ack_policy": "explicit",
        "ack_wait": int(ack_wait * 1e9),
        "filter_subjects": [f"{side.name}.{each}" for each in filters],
        **more,
    }
    body = {"stream_name": stream, "config": config, "action": action}
    await side.control.api(f"CONSUMER.CREATE.{stream}.{name}", body)


async def stored(side: Side, stream: str) -> list[StoredMessage]:
    """All that a stream holds."""
    return [each async for each in side.control.history(stream, [])]
