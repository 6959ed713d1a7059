"""How a mesh grows: with services (5, 20, 60), and with keys (100,000 to 6,000,000).

`python -m harness.scale` measures both; with numbers behind it, such as `services 60` or
`keys 100000`, only that. It prints what it found.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Any, Final

from harness.child import Child, cpu_seconds, memory_mib
from harness.contenders import CACHE, HERE
from harness.filler import Filler
from harness.machine import describe
from harness.numbers import percentile
from harness.options import read_options
from jetmesh.operate.up import upfile
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane

_READY_SECONDS: Final = 300.0
_SETTLE_SECONDS: Final = 35.0
"""Until the first requests have expired, and everything is as it stays."""
_REST_SECONDS: Final = 20.0
_LOOKUPS: Final = 300
_JETMESH: Final = str(Path(sys.executable).with_name("jetmesh"))

Say = Callable[[str], None]


def measure_scale(
    services: Sequence[int], keys: Sequence[int], say: Say = print
) -> dict[str, list[dict[str, Any]]]:
    """Both, one after another."""
    found: dict[str, list[dict[str, Any]]] = {"services": [], "keys": []}
    for count in services:
        for together in (False, True):
            found["services"].append(_of_services(count, together=together, say=say))
    for row in _of_keys(keys, say):
        found["keys"].append(row)
    return found


# services


def _of_services(count: int, *, together: bool, say: Say) -> dict[str, Any]:
    say(f"{count} services{' in one process' if together else ''}")
    with _project(count) as root:
        environ = _environ() | {"JETMESH__HTTP__PORT": str(free_port())}
        options = ["--together"] if together else []
        command = [_JETMESH, "up", "--port", str(free_port()), *options]
        with Child(command, log=root / "up.log", environ=environ, cwd=root) as up:
            ready = _ready(up)
            found = upfile.running(root / ".jetmesh")
            assert found is not None  # noqa: S101 - it is ready
            pids = {each.pid for each in found.services.values()}
            started = {
                "services": count,
                "together": together,
                "ready_seconds": ready,
                "start_cpu_seconds": round(sum(map(cpu_seconds, pids)), 2),
                "start_supervisor_cpu_seconds": round(up.cpu_seconds(), 2),
                "start_server_cpu_seconds": round(cpu_seconds(found.broker.pid), 2),
            }
            sleep(_SETTLE_SECONDS)
            before = sum(map(cpu_seconds, pids)), cpu_seconds(found.broker.pid)
            sleep(_REST_SECONDS)
            after = sum(map(cpu_seconds, pids)), cpu_seconds(found.broker.pid)
            pss = sum(memory_mib(pid)["pss"] for pid in pids)
            return {
                **started,
                "rest_percent": _percent(after[0] - before[0]),
                "rest_server_percent": _percent(after[1] - before[1]),
                "pss_mib": round(pss, 1),
                "pss_mib_a_service": round(pss / count, 1),
                "server_mib": memory_mib(found.broker.pid)["rss"],
                "plan": timed(root, "plan"),
                "doctor": timed(root, "doctor", "--once"),
            }


def _ready(up: Child) -> float:
    until = monotonic() + _READY_SECONDS
    while not (said := re.search(r"ready after ([0-9.]+) s", up.log.read_text(errors="replace"))):
        up.check()
        if monotonic() > until:
            raise TimeoutError(up.log.read_text(errors="replace")[-1000:])
        sleep(0.1)
    return float(said[1])


# keys


def _of_keys(sizes: Sequence[int], say: Say) -> Iterator[dict[str, Any]]:
    """A stream of a system of five services, as it fills."""
    CACHE.mkdir(exist_ok=True)
    with _project(5) as root, Broker(root / "store") as broker:
        environ = {"NATS_URL": broker.url}
        made, again = timed(root, "apply", **environ), timed(root, "apply", **environ)
        stored = 0
        for size in sizes:
            say(f"{size:,} keys")
            with Filler(broker.host, broker.port) as filler:
                filler.fill(_facts(stored, size))
            stored = size
            lookups = asyncio.run(_lookups(broker, size))
            figures = {
                "keys": size,
                "server_mib": memory_mib(broker.pid)["rss"],
                "disk_mib": _mib_of(broker.store),
                "lookup_ms_p50": round(median(lookups), 3),
                "lookup_ms_p99": round(percentile(lookups, 0.99), 3),
                "apply": made,
                "apply_again": again,
                "plan": timed(root, "plan", **environ),
                "doctor": timed(root, "doctor", "--once", **environ),
                "trace": timed(root, "trace", f"k-{size // 2}", **environ),
            }
            broker.stop(timeout=60)
            began = monotonic()
            broker.start()
            asyncio.run(_lookups(broker, size, 1))
            yield {**figures, "server_ready_seconds": round(monotonic() - began, 1)}


def _facts(begin: int, end: int) -> Iterator[tuple[str, bytes]]:
    for number in range(begin, end):
        yield f"domain0.fact0.k-{number}", b'{"key": "k-%d", "number": 0}' % number


async def _lookups(broker: Broker, size: int, count: int = _LOOKUPS) -> list[float]:
    """Milliseconds of leader look-ups of random keys, one after another."""
    chance, took = Random(1), []  # noqa: S311 - a spread over the keys, no secret
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="bench") as control:
        for _ in range(count):
            subject = f"domain0.*.k-{chance.randrange(size)}"
            begun = perf_counter()
            if await control.last("DOMAIN0", subject) is None:
                raise LookupError(f"{subject} is not stored")
            took.append((perf_counter() - begun) * 1e3)
    return took


# both


@contextmanager
def _project(count: int) -> Iterator[Path]:
    """A generated system of so many services."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        root = Path(folder)
        modules = tuple(f"plant_{number}" for number in range(count))
        for number, module in enumerate(modules):
            code = f"from peers.generated import generated\n\nservice = generated({number})\n"
            (root / f"{module}.py").write_text(code)
        system = f'from jetmesh import System\n\nsystem = System("plant", services={modules!r})\n'
        (root / "plant_system.py").write_text(system)
        (root / "pyproject.toml").write_text('[tool.jetmesh]\nsystem = "plant_system:system"\n')
        yield root


def _environ() -> dict[str, str]:
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": path, "JETMESH_SETTINGS": os.devnull}


def timed(root: Path, *arguments: str, **environ: str) -> dict[str, float]:
    """Seconds and CPU seconds of a command, whatever it finds.

    Raises:
        RuntimeError: it could not do its work (exit code 2).
    """
    began, before = monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [_JETMESH, *arguments],
        cwd=root,
        env={**os.environ, **_environ(), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stdout + done.stderr)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(monotonic() - began, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 2),
    }


def _percent(seconds: float) -> float:
    return round(100 * seconds / _REST_SECONDS, 2)


def _mib_of(folder: Path) -> int:
    return round(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 2**20)


def main() -> None:
    """All of it, or only what is named."""
    what, numbers = (sys.argv[1:2] or [""])[0], tuple(map(int, sys.argv[2:]))
    whole = read_options([])
    services = numbers if what == "services" else whole.services if not what else ()
    keys = numbers if what == "keys" else whole.keys if not what else ()
    results = {"machine": describe(), **measure_scale(services, keys)}
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
