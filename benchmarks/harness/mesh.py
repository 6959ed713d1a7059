"""The whole mesh as `jetmesh up` runs it: soon ready, small, fast to tell?"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from harness.child import Child, cpu_seconds, memory_mib
from harness.contenders import HERE
from harness.numbers import percentile
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port

RATE: Final = 200
"""Purchases a second."""
_UP_SECONDS: Final = 60.0
_READY_SECONDS: Final = 30.0
_SETTLE_SECONDS: Final = 20.0
_IDLE_SECONDS: Final = 3.0
_WARM_UP: Final = 200
_PROJECT: Final = '[tool.jetmesh]\nsystem = "shop.system:system"\n'


class NotReadyError(Exception):
    """Something did not become ready, or did not answer, in time."""


@dataclass(frozen=True, slots=True)
class WholeMesh:
    """A mesh that runs, as up.json tells."""

    child: Child
    up: dict[str, Any]
    seconds: float
    """From the command to every service ready."""
    key: Path
    """Of the operator, who may listen to events."""

    @property
    def services(self) -> dict[str, int]:
        """Process ids by service."""
        return {name: entry["pid"] for name, entry in self.up["services"].items()}

    @property
    def others(self) -> dict[str, int]:
        """Process ids of everything else that runs."""
        sandboxes = {name: entry["pid"] for name, entry in self.up["sandboxes"].items()}
        broker = {"nats-server": self.up["broker"]["pid"], "supervisor": self.child.pid}
        return sandboxes | broker

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each process so far."""
        everyone = self.services | self.others
        return {name: cpu_seconds(pid) for name, pid in everyone.items()}

    def memory(self) -> dict[str, Any]:
        """Memory of each process in MiB, and of all together."""
        services = {name: memory_mib(pid) for name, pid in self.services.items()}
        rest = {name: memory_mib(pid) for name, pid in self.others.items()}
        whole = [*services.values(), *rest.values()]
        return {
            "services": services,
            "others": rest,
            "mesh": {kind: round(sum(each[kind] for each in whole), 1) for kind in ("rss", "pss")},
        }


@contextmanager
def whole_mesh() -> Iterator[WholeMesh]:
    """Run `jetmesh up` in a project of its own, so that a mesh that runs already stays as it is."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "pyproject.toml").write_text(_PROJECT)
        (root / "cmd").symlink_to(HERE.parent / "cmd")
        log = root / "up.log"
        command = [sys.executable, "-c", "from jetmesh.cli import main; main()", "up"]
        with Child(command, log=log, cwd=root) as child:
            state = root / ".jetmesh"
            up = _wait_until_up(child, state / "up.json")
            seconds = time.monotonic() - child.started_at
            yield WholeMesh(child, up, seconds, state / "identities" / "operator.nk")


def _wait_until_up(child: Child, file: Path) -> dict[str, Any]:
    deadline = time.monotonic() + _UP_SECONDS
    while time.monotonic() < deadline:
        child.check()
        if file.exists():
            up: dict[str, Any] = json.loads(file.read_bytes())
            if up.get("ready"):
                return up
        time.sleep(0.02)
    raise NotReadyError(f"`jetmesh up` was not ready within {_UP_SECONDS:g} s")


async def measure_mesh(seconds: int, moved: Callable[[int], None]) -> dict[str, Any]:
    """Readiness, memory and purchase-to-notification latency of the whole mesh."""
    with whole_mesh() as mesh:
        await asyncio.sleep(_IDLE_SECONDS)
        idle = mesh.memory()
        latency = await _latency(mesh, seconds, moved)
        loaded = mesh.memory()
    return {
        "up_to_ready_s": round(mesh.seconds, 2),
        "memory_mib": {**idle, "after_load": loaded["services"]},
        "latency": latency,
    }


async def _latency(mesh: WholeMesh, seconds: int, moved: Callable[[int], None]) -> dict[str, Any]:
    """From the moment of publishing to the arrival of notifications.sent at a subscriber."""
    client = await nats.connect(mesh.up["nats_url"], name="bench", nkeys_seed=str(mesh.key))
    arrived: dict[str, float] = {}

    async def arrive(message: Msg) -> None:
        arrived[message.subject.rpartition(".")[2]] = time.monotonic()

    await client.subscribe("notifications.sent.*", cb=arrive)
    await client.flush()
    await _told(arrived, await _buy_paced(client, "warm", _WARM_UP))
    before = mesh.cpu()
    published = await _buy_paced(client, "paced", seconds * RATE, moved)
    await _told(arrived, published)
    used = {name: total - before[name] for name, total in mesh.cpu().items()}
    await client.close()
    took = [(arrived[key] - at) * 1e3 for key, at in published.items()]
    return {
        "p50_ms": round(percentile(took, 0.5), 2),
        "p99_ms": round(percentile(took, 0.99), 2),
        "max_ms": round(max(took), 2),
        "purchases": len(took),
        "rate": RATE,
        "cpu_ms_per_purchase": {
            name: round(seconds * 1e3 / len(took), 2) for name, seconds in used.items()
        },
    }


async def _buy_paced(
    client: Client, prefix: str, amount: int, moved: Callable[[int], None] = lambda _: None
) -> dict[str, float]:
    """Publish `amount` purchases at their pace; returns when each was published."""
    published = {}
    async for number in _paced(amount):
        key = f"{prefix}-{number}"
        published[key] = time.monotonic()
        await _buy(client, key, number)
        moved(number + 1)
    return published


async def _told(arrived: dict[str, float], published: dict[str, float]) -> None:
    """Wait until every one of `published` has been notified."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while missing := published.keys() - arrived.keys():
        if time.monotonic() > deadline:
            raise NotReadyError(f"{len(missing)} purchases were never notified")
        await asyncio.sleep(0.02)


async def _paced(amount: int) -> AsyncIterator[int]:
    """Numbers, `RATE` of them a second, each at its own time whatever the ones before took."""
    begun = time.monotonic()
    for number in range(amount):
        pause = begun + number / RATE - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
        yield number


async def _buy(client: Client, key: str, number: int) -> None:
    """Publish a purchase as a person would: nine of ten go through, one is declined or invalid."""
    unsound, declined = number % 20 == 0, number % 20 == 10
    purchase = {
        "purchase_id": key,
        "customer": {
            "id": f"c-{number % 100}",
            "name": "Sample Customer",
            "email": "customer@example.test",
        },
        "items": [
            {"sku": "tea", "quantity": 2, "unit_price": "4.50"},
            {"sku": "cup", "quantity": 1, "unit_price": "7.90"},
        ],
        "total": "17.00" if unsound else "16.90",
        "currency": "EUR",
        "payment_token": "tok_insufficient_funds" if declined else "tok_ok",
    }
    await client.publish("purchases.created", json.dumps(purchase).encode())
    await client.flush()


def start_to_ready(broker: Broker, command: list[str], *, log: Path, path: Path = HERE) -> float:
    """Seconds from starting a service, its broker answering already, to its /readyz saying so."""
    port = free_port()
    environ = {
        "NATS_URL": broker.url,
        "JETMESH__HTTP__PORT": str(port),
        "PYTHONPATH": str(HERE),
    }
    with Child(command, log=log, environ=environ, cwd=path) as child:
        while time.monotonic() - child.started_at < _READY_SECONDS:
            child.check()
            if _is_ready(port):
                return time.monotonic() - child.started_at
            time.sleep(0.005)
    raise NotReadyError(f"{command[-1]} was not ready within {_READY_SECONDS:g} s")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()
