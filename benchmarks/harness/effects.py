"""What the look before an effect costs: an `async def` handler with a decision, and one without."""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from typing import Any, Final

from harness.contenders import Peer
from harness.throughput import Bench, measure

_OURS: Final = Peer("jetmesh", "jetmesh", (sys.executable, "-m", "peers.jetmesh_app"))
WORKLOADS: Final = {
    "effect": "async def, looks whether the key is decided, publishes guarded",
    "blind": "async def, no decision: publishes unguarded, looks nothing up",
}


async def measure_effects(
    bench: Bench, rounds: int, messages: int, said: Callable[[str], None]
) -> dict[str, Any]:
    """CPU of the service's process per message, and the rate, of each workload; interleaved."""
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in WORKLOADS}
    for number in range(rounds):
        for workload, taken in samples.items():
            said(f"{workload}, round {number + 1}")
            sample = await measure(bench, _OURS, workload, number=number, messages=messages)
            taken.append((sample.cpu_us, sample.rate))
    return {
        workload: {
            "cpu_us": round(median(cpu for cpu, _ in taken), 2),
            "rate": round(median(rate for _, rate in taken)),
        }
        for workload, taken in samples.items()
    }
