"""What a long history costs: the same work, look-ups, a read model, over ever more keys."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

from harness.child import memory_mib
from harness.contenders import Peer
from harness.filler import Filler
from harness.mesh import start_to_ready
from harness.numbers import percentile
from harness.purchases import outcomes
from harness.server import OUTPUT
from harness.throughput import Bench, measure
from peers.jetmesh_app import SERVICES

_LOOKUPS: Final = 300
_OURS: Final = Peer("jetmesh", "jetmesh", (sys.executable, "-m", "peers.jetmesh_app"))


async def measure_history(
    bench: Bench, sizes: tuple[int, ...], messages: int, said: Callable[[str], None]
) -> list[dict[str, Any]]:
    """One entry for each size of `sizes`, which must grow."""
    await bench.server.renew(SERVICES["process"])
    found, stored = [], 0
    for number, size in enumerate(sizes):
        said(f"{size:,} stored keys")
        with Filler(bench.broker.host, bench.broker.port) as filler:
            filler.fill(outcomes("old", size - stored, start=stored))
        stored = size
        found.append(await _measure_size(bench, size, messages, number))
    return found


async def _measure_size(bench: Bench, size: int, messages: int, number: int) -> dict[str, Any]:
    lookups = await _lookups(bench, size)
    server = memory_mib(bench.broker.pid)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "peers.jetmesh_app", "board"]
        rebuild = start_to_ready(bench.broker, command, log=Path(folder) / "board.log")
    # the input stream goes on too: a message id that comes again would be taken for a duplicate
    sample = await measure(bench, _OURS, "process", number=number, messages=messages, keep=True)
    return {
        "keys": size,
        "cpu_us": round(sample.cpu_us, 2),
        "rate": round(sample.rate),
        "lookup_ms_p50": round(median(lookups), 3),
        "lookup_ms_p99": round(percentile(lookups, 0.99), 3),
        "server_rss_mib": server["rss"],
        "read_model_ready_s": round(rebuild, 2),
    }


async def _lookups(bench: Bench, size: int) -> list[float]:
    """Milliseconds of leader look-ups of random keys, one after another."""
    chance, took = Random(1), []  # noqa: S311 - a spread over the keys, no secret
    for _ in range(_LOOKUPS):
        subject = f"orders.*.old-{chance.randrange(size)}"
        begun = time.perf_counter()
        if await bench.server.control.last(OUTPUT, subject) is None:
            raise LookupError(f"{subject} is not stored")
        took.append((time.perf_counter() - begun) * 1e3)
    return took
