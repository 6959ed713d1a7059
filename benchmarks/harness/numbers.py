"""Samples to results: medians, spreads and percentiles, and what the budgets say of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from harness.options import WORKLOADS
from harness.throughput import Sample

_MANY_SERVICES: Final = 60


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(samples: Sequence[Sample]) -> dict[str, dict[str, dict[str, Any]]]:
    """By workload and peer: median and spread (lowest, highest) of rate and CPU."""
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for workload in WORKLOADS:
        mine = [sample for sample in samples if sample.workload == workload]
        for peer in dict.fromkeys(sample.peer for sample in mine):
            of_peer = [sample for sample in mine if sample.peer == peer]
            results.setdefault(workload, {})[peer] = _spread(of_peer)
    return results


def _spread(samples: Sequence[Sample]) -> dict[str, Any]:
    rates = [sample.rate for sample in samples]
    costs = [sample.cpu_us for sample in samples]
    return {
        "rate": round(median(rates)),
        "cpu_us": round(median(costs), 2),
        "rate_spread": [round(min(rates)), round(max(rates))],
        "cpu_us_spread": [round(min(costs), 2), round(max(costs), 2)],
        "messages": samples[0].messages,
        "rounds": len(samples),
        "redelivered": sum(sample.redelivered for sample in samples),
    }


@dataclass(frozen=True, slots=True)
class Budget:
    """One promise of the design, and whether this run kept it."""

    promise: str
    measured: str
    met: bool


def budgets(results: Mapping[str, Any]) -> list[Budget]:
    """Every budget that this run measured, in the order of the design."""
    found = []
    for workload, times in (("process", 12), ("consume", 15)):
        found += _throughput(workload, results.get(workload, {}), times)
    if latency := results.get("latency"):
        p99 = latency["p99_ms"]
        found.append(Budget("purchase to notification, p99 < 50 ms", f"{p99:.1f} ms", p99 < 50))
    if ready := results.get("start_to_ready_s"):
        found.append(Budget("start to ready < 1 s", f"{ready:.2f} s", ready < 1))
    if memory := results.get("memory_mib"):
        name, idle = max(
            ((n, m["rss"]) for n, m in memory["services"].items()), key=lambda pair: pair[1]
        )
        found.append(
            Budget("an idle service process < 60 MiB RSS", f"{idle:.1f} MiB ({name})", idle < 60)
        )
        whole = memory["mesh"]["pss"]  # forked processes share pages: RSS counts them many times
        found.append(Budget("the whole mesh < 500 MiB PSS", f"{whole:.0f} MiB", whole < 500))
    if state := results.get("state"):
        found += _steps(state["steps"])
    if up := results.get("up_to_ready_s"):
        found.append(Budget("up to every service ready < 5 s", f"{up:.2f} s", up < 5))
    for row in results.get("scale", {}).get("services", ()):
        if row["services"] == _MANY_SERVICES:
            found += _many_services(row)
    return found


def _many_services(row: dict[str, Any]) -> list[Budget]:
    """The promises for sixty services on two cores."""
    ready, pss = row["ready_seconds"], row["pss_mib_a_service"]
    rest = row["rest_percent"] + row["rest_server_percent"]
    if row["together"]:
        whole = row["pss_mib"]
        return [
            Budget("60 services in one process ready < 3 s", f"{ready:.1f} s", ready < 3),
            Budget("60 services in one process < 250 MiB", f"{whole:.0f} MiB", whole < 250),
        ]
    return [
        Budget("60 services ready < 6 s", f"{ready:.1f} s", ready < 6),
        Budget("60 services < 25 MiB PSS each", f"{pss:.1f} MiB", pss < 25),
        Budget("60 idle services and server < 10 % of a core", f"{rest:.1f} %", rest < 10),
    ]


def _steps(steps: dict[str, Any]) -> list[Budget]:
    found = []
    for name, least in (("new", 15_000), ("warm", 15_000), ("hot", 5_000), ("shared", 5_000)):
        rate = steps[name]["rate"]
        found.append(Budget(f"state, {name}: {least:,} inputs/s", f"{rate:,.0f}", rate >= least))
    cold = 1e3 / steps["cold"]["rate"]
    found.append(Budget("state, cold: under 1 ms each", f"{cold:.2f} ms", cold < 1))
    repeated = steps["shared"]["repeated"]
    share = repeated / (1 + repeated)
    found.append(Budget("state, shared: under half of runs repeated", f"{share:.0%}", share < 0.5))
    return found


def _throughput(workload: str, peers: dict[str, Any], times: int) -> list[Budget]:
    ours, found = peers.get("jetmesh"), []
    if ours and (go := peers.get("go")):
        faster, cheaper = ours["rate"] / go["rate"], go["cpu_us"] / ours["cpu_us"]
        found.append(
            Budget(f"{workload}: rate above Go, encoding/json", f"{faster:.2f} times", faster > 1)
        )
        found.append(
            Budget(f"{workload}: CPU below Go, encoding/json", f"1/{cheaper:.2f}", cheaper > 1)
        )
    if ours and workload == "process" and (go := peers.get("go_fast_json")):
        cheaper = go["cpu_us"] / ours["cpu_us"]
        found.append(Budget("process: CPU below Go, go-json", f"1/{cheaper:.2f}", cheaper > 1))
    if ours and (fast := peers.get("faststream")):
        faster = ours["rate"] / fast["rate"]
        promise = f"{workload}: rate {times} times FastStream"
        found.append(Budget(promise, f"{faster:.1f} times", faster >= times))
    return found
