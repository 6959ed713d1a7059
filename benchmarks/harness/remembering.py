"""What a step costs: on new keys, on warm and cold ones, on one hot key, on a million of them."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from harness.child import Child, cpu_seconds, memory_mib
from harness.contenders import HERE, Peer
from harness.filler import Filler
from harness.purchases import purchases_of
from harness.server import Server
from harness.throughput import Bench, durable_of, measure
from jetmesh.operate.up.ports import free_port
from peers.state_app import SERVICES

STEPS: Final = {
    "new": "every input has a key of its own",
    "warm": "10,000 keys that the process knows",
    "tell": "the same, and an event follows from each input",
    "cold": "stored keys that the process does not know",
    "hot": "one key",
    "shared": "one key, three replicas",
}
_KEYS: Final = 10_000
_STALL_SECONDS: Final = 60.0
_REPLICAS: Final = 3
_ALONE: Final = 500
"""Inputs on cold keys that come one by one, to see how long each waits."""
_STATES: Final = "STATES_BENCH_ACCOUNTS"
_COMMAND: Final = tuple(os.environ.get("BENCH_VIA", f"{sys.executable} -m peers.state_app").split())
_OURS: Final = Peer("jetmesh", "jetmesh", (sys.executable, "-m", "peers.jetmesh_app"))

Messages = Iterable[tuple[str, bytes]]


class _Remembering:
    """The replicas of one service on fresh streams, and what they are given."""

    def __init__(self, bench: Bench, workload: str, folder: Path) -> None:
        self._bench = bench
        self._server: Server = bench.server
        self._workload = workload
        self._durable = durable_of(SERVICES[workload])
        self._folder = folder
        self._ports: list[int] = []
        self.given = 0
        self.replicas: list[Child] = []

    @contextmanager
    def running(self, replicas: int = 1) -> Iterator[None]:
        """Run so many processes of the service."""
        with ExitStack() as stack:
            self._ports = [free_port() for _ in range(replicas)]
            self.replicas = [stack.enter_context(self._start(port)) for port in self._ports]
            yield

    def _start(self, port: int) -> Child:
        environ = {
            "NATS_URL": self._bench.broker.url,
            "JETMESH__HTTP__PORT": str(port),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])),
        }
        command = (*_COMMAND, self._workload)
        return Child(command, log=self._folder / f"{port}.log", environ=environ, cwd=HERE)

    async def handle(self, messages: Messages) -> None:
        """Have these handled, unmeasured."""
        self._fill(messages)
        await self._settled()

    async def measured(self, messages: Messages) -> dict[str, float]:
        """Rate, and CPU of services and server, for each of these; the first starts the clock."""
        rest = iter(messages)
        first, before = next(rest), self.given
        await self._server.pause(self._durable)
        self._fill(rest)
        await self._server.resume(self._durable)
        used, of_server, races = self._cpu(), cpu_seconds(self._bench.broker.pid), self._races()
        begun = time.time()
        self._fill([first])
        ended = await self._settled()
        amount = self.given - before
        return {
            "rate": round(amount / (ended - begun)),
            "cpu_us": (self._cpu() - used) / amount * 1e6,
            "server_us": (cpu_seconds(self._bench.broker.pid) - of_server) / amount * 1e6,
            "repeated": (self._races() - races) / amount,
        }

    def seconds_each(self) -> float:
        """From delivery to verdict, on average over all that was handled."""
        return self._metric("handling_seconds_sum") / self._metric("handling_seconds_count")

    async def steps(self) -> int:
        """How many steps were stored."""
        info = await self._server.control.api(f"STREAM.INFO.{_STATES}")
        return int(info["state"]["last_seq"])

    def _fill(self, messages: Messages) -> None:
        counted = list(messages)
        self.given += len(counted)
        with Filler(self._bench.broker.host, self._bench.broker.port) as filler:
            filler.fill(counted)

    async def _settled(self) -> float:
        def check() -> None:
            for each in self.replicas:
                each.check()

        return await self._server.settled(
            self._durable, self.given, seconds=_STALL_SECONDS, check=check
        )

    def _cpu(self) -> float:
        return sum(each.cpu_seconds() for each in self.replicas)

    def _races(self) -> float:
        return self._metric("state_races_total")

    def _metric(self, name: str) -> float:
        """The sum of a metric over handlers and replicas."""
        found = 0.0
        for port in self._ports:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
                lines = page.read().decode().splitlines()
            found += sum(float(x.split()[-1]) for x in lines if x.startswith(f"jetmesh_{name}{{"))
        return found


async def measure_remembering(
    bench: Bench, rounds: int, amount: int, keys: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """By kind of step its cost, beside that of a handler without state; then ever more keys."""
    samples: dict[str, list[dict[str, float]]] = {"process": [], **{name: [] for name in STEPS}}
    for number in range(rounds):
        say(f"round {number + 1}/{rounds}: process")
        plain = await measure(bench, _OURS, "process", number=number, messages=amount)
        about = {"rate": plain.rate, "cpu_us": plain.cpu_us, "server_us": plain.server_us}
        samples["process"].append(about)
        for name in STEPS:
            say(f"round {number + 1}/{rounds}: {name}")
            samples[name].append(await _measure_steps(bench, name, amount))
    say(f"{keys:,} keys")
    return {
        "steps": {name: _medians(several) for name, several in samples.items()},
        "keys": await _measure_keys(bench, keys),
    }


def _medians(samples: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(median(s[name] for s in samples), 3) for name in samples[0]}


async def _measure_steps(bench: Bench, name: str, amount: int) -> dict[str, float]:
    service = "tell" if name == "tell" else "award"
    await bench.server.renew(SERVICES[service])
    with tempfile.TemporaryDirectory() as folder:
        it = _Remembering(bench, service, Path(folder))
        with it.running(_REPLICAS if name == "shared" else 1):
            await it.handle(purchases_of(_CUSTOMERS["warm"], "warm", 2 * _KEYS))
            if name != "cold":
                found = await it.measured(purchases_of(_CUSTOMERS[name], "p", amount))
                return {**found, "steps": await it.steps() / it.given}
        with it.running():
            await it.handle(purchases_of(lambda _: "other", "other", 100))
            found = await it.measured(purchases_of(lambda n: f"c-{n}", "p", _KEYS - _ALONE))
        with it.running():
            for number in range(_KEYS - _ALONE, _KEYS):
                await it.handle(purchases_of(f"c-{number}".format, f"q-{number}", 1))
            return {**found, "ms": it.seconds_each() * 1e3}


_CUSTOMERS: Final[dict[str, Callable[[int], str]]] = {
    "new": lambda number: f"new-{number}",
    "warm": lambda number: f"c-{number % _KEYS}",
    "tell": lambda number: f"c-{number % _KEYS}",
    "hot": lambda _: "hot",
    "shared": lambda _: "hot",
}


async def _measure_keys(bench: Bench, keys: int) -> list[dict[str, Any]]:
    """Ten parts of so many new keys: what a step costs, and what service and server hold."""
    await bench.server.renew(SERVICES["award"])
    found, part = [], keys // 10
    with tempfile.TemporaryDirectory() as folder:
        it = _Remembering(bench, "award", Path(folder))
        with it.running():
            await it.handle(purchases_of(_CUSTOMERS["warm"], "warm", 2000))
            for number in range(10):
                named = f"part{number}"
                each = await it.measured(purchases_of((named + "-{}").format, named, part))
                # what was handled goes, or it would count as what the states need
                await bench.server.control.api("STREAM.PURGE.PURCHASES")
                found.append(
                    {
                        "keys": (number + 1) * part,
                        "cpu_us": round(each["cpu_us"], 2),
                        "server_us": round(each["server_us"], 2),
                        "rate": each["rate"],
                        "rss_mib": memory_mib(it.replicas[0].pid)["rss"],
                        "server_rss_mib": memory_mib(bench.broker.pid)["rss"],
                    }
                )
    return found
