"""What services cost while nothing happens: CPU, memory and messages, theirs and the server's."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from harness.child import Child, cpu_seconds, memory_mib
from harness.contenders import CACHE, HERE
from jetmesh import derive
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from peers.generated import several

_READY_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.2
_SETTLE_SECONDS: Final = 35.0
"""Until the first requests have expired, and everything is as it stays."""


@dataclass(frozen=True)
class _Look:
    at: float
    services: float
    server: float
    messages: int


async def measure_idle(services: int, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """CPU in percent of a core and memory in MiB of `services` idle services and their server."""
    CACHE.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE)))
        monitored = free_port("127.0.0.1")
        config = folder / "nats.conf"
        config.write_text(f"http: 127.0.0.1:{monitored}\n")
        broker = stack.enter_context(Broker(folder / "store", config=config))
        declared = derive(several(services))
        say(f"{services} services: {len(declared.durables)} durables are made")
        async with await ControlPlane.connect(NatsSettings(url=broker.url), name="bench") as asking:
            await apply(asking, await plan(asking, declared))
        began = monotonic()
        children, ports = [], []
        for number in range(services):
            ports.append(free_port("127.0.0.1"))
            children.append(stack.enter_context(_started(number, ports[-1], broker, folder)))
        for child, port in zip(children, ports, strict=True):
            await _ready(child, port)
        ready = monotonic() - began
        say(f"{services} services are idle")
        await asyncio.sleep(_SETTLE_SECONDS)
        before = _look(children, broker, monitored)
        await asyncio.sleep(seconds)
        after = _look(children, broker, monitored)
        took = after.at - before.at
        memory = [memory_mib(child.pid) for child in children]
        return {
            "services": services,
            "durables": len(declared.durables),
            "ready_seconds": round(ready, 1),
            "services_percent": round(100 * (after.services - before.services) / took, 2),
            "server_percent": round(100 * (after.server - before.server) / took, 2),
            "messages_a_second": round((after.messages - before.messages) / took),
            "pss_mib": round(sum(each["pss"] for each in memory) / services, 1),
            "rss_mib": round(sum(each["rss"] for each in memory) / services, 1),
            "server_mib": memory_mib(broker.pid)["rss"],
        }


def _started(number: int, port: int, broker: Broker, folder: Path) -> Child:
    environ = {
        "NATS_URL": broker.url,
        "JETMESH__HTTP__PORT": str(port),
        "JETMESH__PROVISION": "verify",
    }
    command = [sys.executable, "-m", "peers.generated", str(number)]
    return Child(command, log=folder / f"{number}.log", environ=environ, cwd=HERE)


async def _ready(child: Child, port: int) -> None:
    until = monotonic() + _READY_SECONDS
    while not _is_ready(port):
        child.check()
        if monotonic() > until:
            raise TimeoutError(f"not ready: {child.log.read_text()[-500:]}")
        await asyncio.sleep(_LOOK_SECONDS)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except OSError:
        return False


def _look(children: list[Child], broker: Broker, monitored: int) -> _Look:
    with urllib.request.urlopen(f"http://127.0.0.1:{monitored}/varz", timeout=5) as answer:
        told = json.load(answer)
    services = sum(child.cpu_seconds() for child in children)
    messages = told["in_msgs"] + told["out_msgs"]
    return _Look(monotonic(), services, cpu_seconds(broker.pid), messages)


if __name__ == "__main__":
    found = asyncio.run(measure_idle(int(sys.argv[1]), float(sys.argv[2]), print))
    print(json.dumps(found, indent=2))
