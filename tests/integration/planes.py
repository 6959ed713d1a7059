"""What tests of the two planes share: a service that copies, fates to wait for, odd servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from jetmesh import wire
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.seam import Message

NO_HEADERS = b"NATS/1.0\r\n\r\n"


def settings_of(broker: Broker, **more: Any) -> NatsSettings:
    return NatsSettings(**{"url": broker.url, **more})


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that a test may end."""
    with Broker(tmp_path / "store") as broker:
        yield broker


@asynccontextmanager
async def both(nats: NatsSettings) -> AsyncIterator[tuple[DataPlane, ControlPlane]]:
    async with (
        DataPlane(nats, name="test") as plane,
        await ControlPlane.connect(nats, name="test control") as control,
    ):
        yield plane, control


async def check_works(nats: NatsSettings) -> None:
    async with both(nats) as (plane, control):
        assert plane.problem == control.problem == ""
        await plane.flush()
        await control.subscribe("ask", echo)
        assert (await control._session.request("ask", b"", 2)).data == b"ask"


async def echo(subject: str) -> bytes:
    return subject.encode()


async def problem_of(nats: NatsSettings) -> str:
    """What the data plane says while it does not get anywhere."""
    plane = DataPlane(nats, name="test")
    connecting = asyncio.create_task(plane.connect())
    await eventually(lambda: plane.problem.startswith("no broker"))
    text = plane.problem
    await plane.close()
    await asyncio.gather(connecting, return_exceptions=True)
    return text


class Fate:
    """Waits for what becomes of one publish."""

    def __init__(self) -> None:
        self.told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_stored(self, _: bytes) -> None:
        self.told.set_result("stored")

    def on_duplicate(self, _: Message, sequence: int) -> None:
        self.told.set_result(f"duplicate of {sequence}")

    def on_decided(self) -> None:
        self.told.set_result("decided")

    def on_impossible(self, reason: str) -> None:
        self.told.set_result(f"impossible: {reason}")


async def publish(
    plane: DataPlane, subject: str, payload: bytes = b"{}", headers: bytes = NO_HEADERS
) -> str:
    fate = Fate()
    plane.publish(subject.encode(), headers, payload, fate)
    return await asyncio.wait_for(fate.told, 10)


async def make_stream(control: ControlPlane, name: str, *subjects: str, **more: Any) -> None:
    await control.api(
        f"STREAM.CREATE.{name}", {"name": name, "subjects": [*subjects], "storage": "file", **more}
    )


async def make_durable(
    control: ControlPlane, stream: str, name: str, *, ack_wait: float = 1.5, **more: Any
) -> None:
    config = {"durable_name": name, "ack_policy": "explicit", "ack_wait": int(ack_wait * 1e9)}
    await control.api(
        f"CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "config": {**config, **more}}
    )


class Copier:
    """Copies every message of one stream into another, acking when the copy is stored."""

    def __init__(
        self, plane: DataPlane, stream: str, durable: str, target: str, *, limit: int = 200
    ) -> None:
        self.copied: list[int] = []
        """The sequences whose copy is stored, in order of their PubAcks."""
        self.busiest = 0
        self.held = False
        """Keep what arrives, unsettled."""
        self._in_hand = 0
        self._kept: list[tuple[bytes, bytes]] = []
        self._plane = plane
        self._target = target.encode()
        self.pull = plane.inflow(stream, durable, limit=limit, on_delivery=self._on_delivery)
        self.pull.start()

    def _on_delivery(self, _: bytes, reply: bytes, __: bytes, payload: bytes) -> None:
        self._in_hand += 1
        self.busiest = max(self.busiest, self._in_hand)
        if self.held:
            self._kept.append((reply, payload))
        else:
            self._copy(reply, payload)

    def go_on(self) -> None:
        self.held = False
        for reply, payload in self._kept:
            self._copy(reply, payload)
        self._kept.clear()

    def _copy(self, reply: bytes, payload: bytes) -> None:
        sequence = reply.split(b".")[5]
        headers = b"NATS/1.0\r\nNats-Msg-Id: %b\r\n\r\n" % sequence
        self._plane.publish(
            b"%b.%b" % (self._target, sequence), headers, payload, _Copied(self, reply, sequence)
        )

    def on_copied(self, reply: bytes, sequence: bytes) -> None:
        self.copied.append(int(sequence))
        self._plane.ack(reply)
        self._in_hand -= 1
        self.pull.settled()


class _Copied:
    def __init__(self, copier: Copier, reply: bytes, sequence: bytes) -> None:
        self._copier, self._reply, self._sequence = copier, reply, sequence

    def on_stored(self, _: bytes) -> None:
        self._copier.on_copied(self._reply, self._sequence)

    def on_duplicate(self, _: Message, __: int) -> None:
        self.on_stored(b"")  # it was copied before

    def on_decided(self) -> None:
        raise AssertionError("nothing is guarded here")

    def on_impossible(self, reason: str) -> None:
        raise AssertionError(reason)


class Scene:
    """A stream to copy from, a stream to copy to, and a copier at work between them."""

    def __init__(self, name: str, plane: DataPlane, control: ControlPlane) -> None:
        self.source, self.target = f"{name.upper()}IN", f"{name.upper()}OUT"
        self.name = name
        self.plane, self.control = plane, control

    async def make(self, *, limit: int = 200, storage: str = "file") -> Copier:
        await make_stream(self.control, self.source, f"{self.name}.in.>", storage=storage)
        await make_stream(self.control, self.target, f"{self.name}.out.>", storage=storage)
        await make_durable(self.control, self.source, "copy", max_waiting=2048)
        return Copier(self.plane, self.source, "copy", f"{self.name}.out", limit=limit)

    async def fill(self, count: int) -> None:
        await asyncio.gather(*(publish(self.plane, f"{self.name}.in.{i}") for i in range(count)))

    async def check_all_copied_once(self, copier: Copier, count: int) -> None:
        """Nothing lost, nothing doubled, nothing left without a verdict."""
        await eventually(
            lambda: len(set(copier.copied)) == count, within=15, what=f"{count} copies"
        )
        copies = [m async for m in self.control.history(self.target, [])]
        assert sorted(int(m.subject.rpartition(".")[2]) for m in copies) == [*range(1, count + 1)]

        async def settled() -> bool:
            info = await self.control.api(f"CONSUMER.INFO.{self.source}.copy")
            return not info["num_pending"] and not info["num_ack_pending"]

        await eventually(settled, what="an empty durable")


class OddServer:
    """Accepts connections and says what a test wants it to say."""

    def __init__(self, talk: Callable[[OddServer], Any] | None = None, **info: Any) -> None:
        facts = {"server_id": "odd", "max_payload": 1 << 20, "headers": True, **info}
        self.greeting = b"INFO " + json.dumps(facts).encode() + b"\r\n"
        self.read = bytearray()
        self.connections = 0
        self.reading = asyncio.Event()
        self.reading.set()
        self._talk = talk
        self.writer: asyncio.StreamWriter | None = None
        """The newest connection's."""
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 16)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.drop()

    @property
    def settings(self) -> NatsSettings:
        return NatsSettings(url=f"nats://127.0.0.1:{self.port}")

    def drop(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writer = writer
        self._writers.append(writer)
        writer.write(self.greeting)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while True:
                await self.reading.wait()
                data = await reader.read(1 << 16)
                if not data:
                    break
                self.read += data
                if data.endswith(wire.PING):
                    writer.write(wire.PONG)
                    if self._talk is not None:
                        self._talk(self)
        writer.close()
