"""A slow handler before a long backlog: what it holds is bounded in messages and in bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from tests.integration.child_process import Child
from tests.integration.planes import both, publish, settings_of
from tests.integration.test_stopping import in_flight, wide
from tests.programs import missing

MOST_MEBIBYTES = 100


def resident(service: Child) -> float:
    """Mebibytes that the process has ever had in memory (Linux says so in /proc)."""
    status = Path(f"/proc/{service.process.pid}/status")
    if not status.exists():
        missing("only Linux tells the memory of a process in /proc")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


async def backlog(plane: DataPlane, domain: str, count: int, size: int) -> None:
    for start in range(0, count, 100):
        told = (
            publish(
                plane,
                f"{domain}-in.placed.p-{number}",
                b'{"order_id":"p-%d","note":"%b"}' % (number, b"x" * size),
            )
            for number in range(start, min(start + 100, count))
        )
        await asyncio.gather(*told)


@pytest.mark.parametrize(("count", "size"), [(400, 900_000), (4000, 30_000), (20_000, 100)])
async def test_a_slow_handler_with_a_backlog_stays_below_a_hundred_mebibytes(
    child: Callable[..., Child], tmp_path: Path, unique: str, count: int, size: int
) -> None:
    """Three thousand runs at once are allowed, and none of them ever ends."""
    with Broker(tmp_path / "own") as broker:
        async with both(settings_of(broker)) as (plane, control):
            first = child(broker.url).start()  # makes the streams
            await first.ready()
            first.process.terminate()
            assert await first.ended() == 0
            await backlog(plane, unique, count, size)
            service = child(broker.url).start("hangs", JETMESH__GRACE="100ms", **wide(unique))
            await eventually(lambda: counted(control, unique, count), within=40, what="the others")
            assert await in_flight(service, "work") >= 8
            assert resident(service) < MOST_MEBIBYTES
            service.process.terminate()
            assert await service.ended() == 0


async def counted(control: ControlPlane, domain: str, count: int) -> bool:
    """Whether the fast handler of the same process has done all: it is not held up."""
    info = await control.api(f"CONSUMER.INFO.{domain.upper()}_IN.{domain}-service-count")
    return bool(info["ack_floor"]["stream_seq"] >= count)
