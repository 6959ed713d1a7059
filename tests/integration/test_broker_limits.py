"""A broker without room: what is published waits, says why, and is stored once there is room."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from jetmesh import Policy, Service, event
from jetmesh.declare import Duration
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.streams import DEADLETTERS
from jetmesh.settings import NatsSettings
from jetmesh.testing import Mesh, eventually, mesh
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from tests.integration.planes import NO_HEADERS, Fate, both, make_stream, publish, settings_of
from tests.programs import missing

LARGE = b"x" * 100_000
COUNT = 40

MakeRoom = Callable[[ControlPlane], Awaitable[object]]


class Room:
    """A broker that runs full before all is stored, and how it gets room again."""

    def __init__(self, config: str, says: str, make: MakeRoom, **stream: int) -> None:
        self.config, self.says, self.make, self.stream = config, says, make, stream


def _account(limits: str) -> str:
    users = "users: [{ user: u, password: p }]"
    return f"accounts {{ A: {{ jetstream: {{ {limits} }}, {users} }} }}\n"


async def _raise_limit(control: ControlPlane) -> None:
    config = (await control.api("STREAM.INFO.FULL"))["config"]
    await control.api("STREAM.UPDATE.FULL", {**config, "max_bytes": -1, "max_msgs": -1})


async def _purge_another(control: ControlPlane) -> None:
    await control.api("STREAM.PURGE.OTHER")


ROOMS = {
    "max_bytes": Room("", "maximum bytes exceeded (10077)", _raise_limit, max_bytes=2_000_000),
    "max_msgs": Room("", "maximum messages exceeded (10077)", _raise_limit, max_msgs=10),
    "account": Room(
        _account("max_file: 6M"),
        "resource limits exceeded for account (10002)",
        _purge_another,
    ),
    "server": Room(
        "jetstream { max_file_store: 6M }\n", "insufficient resources (10023)", _purge_another
    ),
}


@asynccontextmanager
async def nearly_full(
    path: Path, room: Room
) -> AsyncIterator[tuple[Broker, DataPlane, ControlPlane]]:
    """A stream FULL for what a test publishes, and a stream OTHER that takes the room."""
    config = path / "server.conf"
    config.write_text(room.config)
    user = {"user": "u", "password": "p"} if "accounts" in room.config else {}
    with Broker(path / "store", config=config) as broker:
        async with both(settings_of(broker, **user)) as (plane, control):
            await make_stream(control, "OTHER", "other.>")
            for _ in range(35):
                assert await publish(plane, "other.a", LARGE) == "stored"
            await make_stream(control, "FULL", "full.>", discard="new", **room.stream)
            yield broker, plane, control


@pytest.mark.parametrize("name", ROOMS)
async def test_what_has_no_room_waits_red_and_is_stored_when_there_is(
    tmp_path: Path, name: str
) -> None:
    room = ROOMS[name]
    async with nearly_full(tmp_path, room) as (_, plane, control):
        fates = [Fate() for _ in range(COUNT)]
        for number, fate in enumerate(fates):
            plane.publish(b"full.%d" % number, NO_HEADERS, LARGE, fate)
        await eventually(lambda: plane.problem, what="a reason")
        assert plane.problem.startswith("publishing: full.")
        assert plane.problem.endswith(room.says)
        assert any(fate.told.done() for fate in fates), "it had room at first"
        assert not all(fate.told.done() for fate in fates)
        await room.make(control)
        async with asyncio.timeout(10):
            assert {await fate.told for fate in fates} == {"stored"}
        stored = [message.subject async for message in control.history("FULL", [])]
        assert sorted(stored) == sorted(f"full.{n}" for n in range(COUNT)), "none lost or doubled"
        await eventually(lambda: not plane.problem)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of twenty megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid():
        missing("only root can mount a disk that is small enough to be filled")
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        missing("this machine does not let root mount a tmpfs")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_a_full_disk_is_silent_and_all_is_stored_after_room_and_a_restart(
    small_disk: Path,
) -> None:
    """The server answers nothing more, and takes nothing more before it is started again."""
    with Broker(small_disk / "store") as broker:
        async with both(settings_of(broker)) as (plane, control):
            await make_stream(control, "FULL", "full.>")
            ballast, room = small_disk / "ballast", os.statvfs(small_disk)
            ballast.write_bytes(b"0" * (room.f_bavail * room.f_frsize - 2_000_000))
            fates = [Fate() for _ in range(COUNT)]
            for number, fate in enumerate(fates):
                plane.publish(b"full.%d" % number, _identity(number), LARGE, fate)
            await eventually(lambda: "no answer to full." in plane.problem, what="a reason")
            assert plane.problem.endswith("is the disk full?")
            assert not all(fate.told.done() for fate in fates)
            ballast.unlink()
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
            async with asyncio.timeout(15):
                assert {await fate.told for fate in fates} == {"stored"}
            stored = [message.subject async for message in control.history("FULL", [])]
            assert sorted(stored) == sorted(f"full.{n}" for n in range(COUNT))


def _identity(number: int) -> bytes:
    return b"NATS/1.0\r\nNats-Msg-Id: %d\r\n\r\n" % number


async def test_what_no_stream_will_ever_take_is_told_at_once(broker: Broker, unique: str) -> None:
    async with both(settings_of(broker)) as (plane, control):
        name = unique.upper()
        await make_stream(control, name, f"{unique}.>", max_msg_size=1000)
        assert "maximum allowed" in await publish(plane, f"{unique}.a", b"x" * 2000)
        config = (await control.api(f"STREAM.INFO.{name}"))["config"]
        await control.api(f"STREAM.UPDATE.{name}", {**config, "sealed": True})
        assert "sealed stream" in await publish(plane, f"{unique}.a")
        assert plane.problem == ""


# a whole service


class Shop:
    """Copies, and rejects what is called bad."""

    def __init__(self, domain: str) -> None:
        @event(f"{domain}-in.placed", key="id")
        class Placed(Struct, frozen=True):
            id: str

        @event(f"{domain}.accepted", key="id", decision=f"{domain}.*")
        class Accepted(Struct, frozen=True):
            id: str
            text: str

        self.placed, self.accepted = Placed, Accepted
        self.output = domain.upper()
        self.service = Service(f"{domain}-service")
        policy = Policy(attempts=1, timeout=Duration(1), ack_wait=Duration(1))

        @self.service.on(Placed, policy=policy)
        def decide(placed: Placed) -> Accepted:
            if placed.id.startswith("bad"):
                raise ValueError("no such order")
            return Accepted(placed.id, "x" * 1000)

    async def set_limit(self, m: Mesh, stream: str, **limits: int) -> None:
        config = (await m.control.api(f"STREAM.INFO.{stream}"))["config"]
        await m.control.api(f"STREAM.UPDATE.{stream}", {**config, **limits})

    def problems(self, m: Mesh) -> list[str]:
        return m.running[self.service.name].health.problems()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def test_a_service_whose_output_stream_is_full_is_red_and_loses_nothing(
    tmp_path: Path, unique: str
) -> None:
    """Its inputs wait with it, beyond their ack_wait, and each has its one outcome in the end."""
    shop = Shop(unique)
    with Broker(tmp_path) as own:
        async with mesh(shop.service, url=own.url) as m:
            await shop.set_limit(m, shop.output, max_msgs=100)
            for number in range(300):
                await m.publish(shop.placed(f"p-{number}"))
            await eventually(
                lambda: any("maximum messages exceeded" in text for text in shop.problems(m)),
                what="red",
            )
            assert len(await m.stored(shop.output)) == 100
            await asyncio.sleep(1.5)  # longer than the ack_wait
            await shop.set_limit(m, shop.output, max_msgs=-1)
            await m.settled(within=20)
            keys = [message.subject.rpartition(".")[2] for message in await m.stored(shop.output)]
            assert sorted(keys) == sorted(f"p-{number}" for number in range(300))
            assert await m.stored(DEADLETTERS) == []
            await eventually(lambda: not shop.problems(m), what="green")


async def test_a_dead_letter_without_room_keeps_its_input_pending_and_the_service_red(
    tmp_path: Path, unique: str
) -> None:
    shop = Shop(unique)
    with Broker(tmp_path) as own:
        async with mesh(shop.service, url=own.url) as m:
            await shop.set_limit(m, DEADLETTERS, max_msgs=1)
            await m.publish(shop.placed("bad-1"))
            await m.publish(shop.placed("bad-2"))
            await m.publish(shop.placed("good"))
            await m.expect(shop.accepted, "good")
            await eventually(
                lambda: any("deadletters." in text for text in shop.problems(m)), what="red"
            )
            assert len(await m.stored(DEADLETTERS)) == 1
            durable = f"{unique.upper()}_IN.{shop.service.name}-decide"

            async def only_it_waits() -> bool:
                info = await m.control.api(f"CONSUMER.INFO.{durable}")
                return bool(info["num_ack_pending"] == 1)

            await eventually(only_it_waits)
            await shop.set_limit(m, DEADLETTERS, max_msgs=-1)
            await m.settled()
            assert len(await m.stored(DEADLETTERS)) == 2
            await eventually(lambda: not shop.problems(m), what="green")


async def test_a_payload_above_what_another_server_takes_is_given_up_not_sent_for_ever(
    tmp_path: Path, unique: str
) -> None:
    """After an outage the broker takes smaller messages; sending it would end the connection."""
    config = tmp_path / "server.conf"
    config.write_text("max_payload: 1MB\n")
    with Broker(tmp_path / "store", config=config) as own:
        async with both(NatsSettings(url=own.url)) as (plane, control):
            await make_stream(control, unique.upper(), f"{unique}.>")
            await asyncio.to_thread(own.stop)
            config.write_text("max_payload: 10KB\n")
            fate = Fate()
            plane.publish(f"{unique}.a".encode(), NO_HEADERS, LARGE, fate)
            await asyncio.to_thread(own.start)
            assert "max_payload" in await asyncio.wait_for(fate.told, 10)
            assert await publish(plane, f"{unique}.a") == "stored"
            assert plane.reconnects == 1
