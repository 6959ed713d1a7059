"""A thousand instances of one service: `python -m harness.instances 1000`.

They run in a few processes, one of them alone in the last, which stays when the others stop.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any, Final

from harness.child import Child, cpu_seconds, memory_mib
from harness.contenders import CACHE, HERE
from harness.scale import timed
from jetmesh import derive
from jetmesh.operate.asking.instances import running
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from peers.crowd import crowded

_OF_A_PROCESS: Final = 125
_PATIENCE_SECONDS: Final = 300.0
_EVENTS_OF_EACH: Final = 20
_AT_ONCE: Final = 200
_IDLE_SECONDS: Final = 20.0
_SETTLE_SECONDS: Final = 35.0


async def measure_instances(count: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Start `count`, let them rest and work, ask for them, stop all but one; the figures."""
    CACHE.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE)))
        broker = stack.enter_context(Broker(folder / "store"))
        control = await ControlPlane.connect(NatsSettings(url=broker.url), name="bench")
        stack.push_async_callback(control.close)
        await apply(control, await plan(control, derive([crowded()], audited=False)))
        crowd = _Crowd(control, broker)
        say(f"{count} instances start")
        found = await crowd.start(count, folder, stack)
        say("they rest")
        found |= await crowd.rest()
        say("they work")
        found |= await crowd.work(count)
        say("they are asked for")
        found |= await crowd.ask(folder)
        say("all but one stop")
        return {"instances": count, **found, **await crowd.leave(count)}


class _Crowd:
    def __init__(self, control: ControlPlane, broker: Broker) -> None:
        self._control = control
        self._broker = broker
        self._children: list[Child] = []
        self._port = free_port()
        """Of the pages of the instance that stays."""

    async def start(self, count: int, folder: Path, stack: AsyncExitStack) -> dict[str, Any]:
        asked, began = await self._asked(), monotonic()
        before = cpu_seconds(self._broker.pid)
        environ = {
            "NATS_URL": self._broker.url,
            "JETMESH__HTTP__PORT": "0",
            "JETMESH__PROVISION": "verify",
        }
        sizes = [_OF_A_PROCESS] * ((count - 1) // _OF_A_PROCESS)
        sizes += [each for each in (count - 1 - sum(sizes), 1) if each]
        for number, size in enumerate(sizes):
            command = [sys.executable, "-m", "peers.crowd", str(size)]
            log = folder / f"{number}.log"
            if number == len(sizes) - 1:
                environ |= {"JETMESH__HTTP__PORT": str(self._port)}
            child = Child(command, log=log, environ=environ, cwd=HERE)
            self._children.append(stack.enter_context(child))
        for child in self._children:
            await _until(lambda child=child: _is_ready(child))  # type: ignore[misc] # reason: bound now
        return {
            "ready_seconds": round(monotonic() - began, 1),
            "asked_of_jetstream": await self._asked() - asked,
            "start_cpu_seconds": round(sum(each.cpu_seconds() for each in self._children), 1),
            "start_server_cpu_seconds": round(cpu_seconds(self._broker.pid) - before, 1),
            "server_mib": memory_mib(self._broker.pid)["rss"],
        }

    async def rest(self) -> dict[str, Any]:
        await asyncio.sleep(_SETTLE_SECONDS)
        before, mine = cpu_seconds(self._broker.pid), self._cpu()
        await asyncio.sleep(_IDLE_SECONDS)
        return {
            "rest_server_percent": _percent(cpu_seconds(self._broker.pid) - before),
            "rest_percent": _percent(self._cpu() - mine),
        }

    async def work(self, count: int) -> dict[str, Any]:
        began, events = monotonic(), count * _EVENTS_OF_EACH
        await self._publish(0, events)
        await self._stored(events)
        took = monotonic() - began
        shares = [
            sum(endpoint.num_requests for endpoint in each.endpoints or ())
            for each in await running(NatsSettings(url=self._broker.url), {"crowd"})
        ]
        return {
            "events": events,
            "events_a_second": round(events / took),
            "shares": [min(shares), round(statistics.median(shares)), max(shares)],
            "delivered": sum(shares),
        }

    async def ask(self, folder: Path) -> dict[str, Any]:
        _write_system(folder)
        began = monotonic()
        found = await running(NatsSettings(url=self._broker.url), {"crowd"})
        stats = monotonic() - began
        return {
            "answer_to_the_doctor": len(found),
            "doctor_seconds": round(stats, 2),
            "doctor_command": await asyncio.to_thread(
                timed, folder, "doctor", "--once", "--nats-url", self._broker.url
            ),
            "metrics_seconds": await asyncio.to_thread(self._metrics),
            **await self._micro_ls(),
        }

    def _metrics(self) -> float:
        began = monotonic()
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics") as answer:
            answer.read()
        return round(monotonic() - began, 3)

    async def _micro_ls(self) -> dict[str, Any]:
        """Nothing where NATS's own command line is not installed."""
        if (nats := shutil.which("nats")) is None:
            return {}
        began = monotonic()
        listing = await asyncio.create_subprocess_exec(
            *(nats, "--server", self._broker.url, "micro", "ls", "--json"),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await listing.communicate()
        return {
            "nats_micro_ls": said.count(b'"name"'),
            "nats_micro_ls_seconds": round(monotonic() - began, 2),
        }

    async def leave(self, count: int) -> dict[str, Any]:
        events = count * _EVENTS_OF_EACH
        publishing = asyncio.create_task(self._publish(events, 2 * events))
        began = monotonic()
        for child in self._children[:-1]:
            os.kill(child.pid, 15)
        await publishing
        await self._stored(2 * events)
        return {"stopped_and_done_seconds": round(monotonic() - began, 1), "stored": 2 * events}

    async def _asked(self) -> int:
        return int((await self._control.api("INFO"))["api"]["total"])

    def _cpu(self) -> float:
        return sum(each.cpu_seconds() for each in self._children)

    async def _publish(self, begin: int, end: int) -> None:
        for first in range(begin, end, _AT_ONCE):
            keys = [f"p-{n}" for n in range(first, min(first + _AT_ONCE, end))]
            stored = (
                self._control.publish(f"crowd.taken.{key}", json.dumps({"id": key}).encode())
                for key in keys
            )
            await asyncio.gather(*stored)

    async def _stored(self, events: int) -> None:
        async def all_of_them() -> bool:
            answer = await self._control.api("STREAM.INFO.COPIES")
            return bool(answer["state"]["messages"] >= events)

        until = monotonic() + _PATIENCE_SECONDS
        while not await all_of_them():
            if monotonic() > until:
                raise TimeoutError(f"not {events} stored")
            await asyncio.sleep(0.1)


def _is_ready(child: Child) -> bool:
    child.check()
    return "ready\n" in child.log.read_text(errors="replace")


def _write_system(folder: Path) -> None:
    """One that knows the service that runs, for the command line."""
    system = 'from jetmesh import System\n\nsystem = System("crowd", services=["crowd_of_one"])\n'
    (folder / "crowd_system.py").write_text(system)
    (folder / "pyproject.toml").write_text('[tool.jetmesh]\nsystem = "crowd_system:system"\n')
    code = "from peers.crowd import crowded\n\nservice = crowded()\n"
    (folder / "crowd_of_one.py").write_text(code)


async def _until(condition: Callable[[], bool]) -> None:
    until = monotonic() + _PATIENCE_SECONDS
    while not condition():
        if monotonic() > until:
            raise TimeoutError("not ready")
        await asyncio.sleep(0.2)


def _percent(seconds: float) -> float:
    return round(100 * seconds / _IDLE_SECONDS, 1)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure_instances(int(sys.argv[1]), print)), indent=2))
