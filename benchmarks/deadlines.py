"""A million deadlines that wait, and how late 1,000 a second fire beside them.

    python benchmarks/deadlines.py [how many wait, 1000000] [how many of them in a state, 50000]

Services are those of any user, in one process; the server stands alone on this machine.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, time
from typing import Any, Final

from msgspec import Struct

from harness.filler import Filler
from jetmesh import Later, Service, event, state
from jetmesh.errors import BrokerError
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.deadlines import alarms_of
from jetmesh.testing import Mesh, eventually, mesh

_FAR: Final = 7 * 86_400.0
_SECONDS: Final = 10
_RATE: Final = 1000
_LEAD: Final = 20
"""Seconds in which all of them are set, before the first one is due."""


@event("opened.plain", key="id")
class Opened(Struct, frozen=True):
    id: str
    due: float


@event("overdue.plain", key="id")
class Overdue(Struct, frozen=True):
    id: str
    due: float


@event("opened.kept", key="id")
class KeptOpened(Struct, frozen=True):
    id: str
    due: float


@event("overdue.kept", key="id")
class KeptOverdue(Struct, frozen=True):
    id: str
    due: float


@state("deadlines.tickets", key="id")
class Ticket(Struct, frozen=True):
    id: str


service = Service("deadlines")


@service.on(Opened)
def wait(opened: Opened) -> Later[Overdue]:
    return Later(Overdue(opened.id, opened.due), at=datetime.fromtimestamp(opened.due, UTC))


@service.on(KeptOpened, state=Ticket)
def keep(opened: KeptOpened, _: Ticket | None) -> tuple[Ticket, Later[KeptOverdue]]:
    due = datetime.fromtimestamp(opened.due, UTC)
    return Ticket(opened.id), Later(KeptOverdue(opened.id, opened.due), at=due)


def memory(broker: Broker) -> int:
    """MiB that the server takes."""
    status = Path(f"/proc/{broker.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) // 1024 if found else 0


async def set_many(m: Mesh, broker: Broker, kind: str, count: int) -> None:
    """Let the service set so many deadlines that are far away, and say how fast."""
    before, far = await waiting(m), time() + _FAR
    host, _, port = broker.url.rpartition("/")[2].partition(":")
    began = perf_counter()
    with Filler(host, int(port)) as filler:
        await asyncio.to_thread(
            filler.fill,
            (
                (f"opened.{kind}.{kind}-{n}", b'{"id":"%b-%d","due":%f}' % (kind.encode(), n, far))
                for n in range(count)
            ),
        )
    await eventually(lambda: _has(m, before + count), within=3600)
    took = perf_counter() - began
    print(f"{kind}: {count:,} set in {took:.0f} s, {count / took:,.0f}/s; {memory(broker)} MiB")


async def waiting(m: Mesh) -> int:
    return await m.control.count("LANES_deadlines", [alarms_of("deadlines")])


async def _has(m: Mesh, count: int) -> bool:
    await asyncio.sleep(0.5)
    return await waiting(m) >= count


async def burst(m: Mesh, kind: str, label: str) -> None:
    """So many due a second, for some seconds: how late is each event stored?"""
    first = int(time()) + _LEAD
    stream = "OVERDUE"
    for number in range(_RATE * _SECONDS):
        due = first + number / _RATE
        body = b'{"id":"%b-%d","due":%f}' % (label.encode(), number, due)
        await m.control._session.publish(f"opened.{kind}.{label}-{number}", body)  # noqa: SLF001 - no answer is waited for
    wanted = [f"overdue.{kind}.{label}-{n}" for n in range(_RATE * _SECONDS)]

    async def all_there() -> bool:
        await asyncio.sleep(0.5)
        return await m.control.count(stream, [f"overdue.{kind}.*"]) >= len(wanted) * (rounds[kind])

    rounds[kind] = rounds.get(kind, 0) + 1
    await eventually(all_there, within=600)
    late: list[float] = []
    async for message in m.control.history(stream, [f"overdue.{kind}.*"], headers_only=False):
        name, _, which = message.subject.rpartition(".")[2].rpartition("-")
        if name == label:
            late.append(message.stored_ns / 1e9 - (first + int(which) / _RATE))
    late.sort()
    p50, p99 = late[len(late) // 2], late[int(len(late) * 0.99)]
    print(
        f"{label}: {len(late):,} fired, {_RATE:,} a second; late "
        f"p50 {p50:.3f} s, p99 {p99:.3f} s, most {late[-1]:.3f} s, least {late[0]:.3f} s"
    )


async def _is_back(m: Mesh) -> bool:
    try:
        return bool(await m.control.api("STREAM.INFO.LANES_deadlines"))
    except BrokerError:
        return False


rounds: dict[str, int] = {}
"""Bursts of each kind so far."""


async def measure(count: int, kept: int) -> None:
    """Everything, on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="jetmesh-") as folder, Broker(Path(folder)) as broker:
        async with mesh(service, url=broker.url) as m:
            print(f"empty: {memory(broker)} MiB")
            await burst(m, "plain", "alone")
            await burst(m, "kept", "alone-kept")
            await set_many(m, broker, "plain", count - kept)
            await set_many(m, broker, "kept", kept)
            await burst(m, "plain", "beside")
            await burst(m, "kept", "beside-kept")
            broker.kill()
            began = perf_counter()
            await asyncio.to_thread(broker.start)  # it reads all of them first
            await eventually(lambda: _is_back(m), within=600)
            print(f"killed: ready again after {perf_counter() - began:.1f} s, {memory(broker)} MiB")
            await burst(m, "plain", "after")
            await burst(m, "kept", "after-kept")


if __name__ == "__main__":
    numbers: list[Any] = [int(each) for each in sys.argv[1:]]
    asyncio.run(measure(*(*numbers, *(1_000_000, 50_000)[len(numbers) :])))
