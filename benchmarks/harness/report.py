"""Results for people: tables in the terminal, results.json and a chart beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from harness.chart import draw
from harness.effects import WORKLOADS as EFFECTS
from harness.isolation import WAYS
from harness.numbers import budgets
from harness.options import WORKLOADS
from harness.remembering import STEPS
from harness.scale_table import tables

_WORK = {
    "process": "consume, decode, decide, publish guarded, PubAck, ack",
    "consume": "consume, decode, ack",
}


def write(results: dict[str, Any], titles: Mapping[str, str], folder: Path) -> list[Path]:
    """Write results.json, and results.svg if there is throughput; returns what was written."""
    file, picture = folder / "results.json", folder / "results.svg"
    file.write_text(json.dumps(results, indent=2) + "\n")
    if not any(workload in results for workload in WORKLOADS):
        return [file]
    picture.write_text(draw(results, titles))
    return [file, picture]


def show(results: dict[str, Any], titles: Mapping[str, str], console: Console) -> None:
    """Print every table."""
    for workload in WORKLOADS:
        if workload in results:
            console.print(_throughput(workload, results[workload], titles))
    for part, table_of in _PARTS.items():
        if part in results:
            console.print(table_of(results[part]))
    if "state" in results:
        console.print(_steps(results["state"]["steps"]))
        console.print(_states(results["state"]["keys"]))
    for table in tables(results):
        console.print(table)
    for name, reason in results["missing"].items():
        console.print(f"[yellow]{name} was not measured: {reason}")
    console.print(_budgets(results))


def _throughput(workload: str, peers: dict[str, Any], titles: Mapping[str, str]) -> Table:
    table = Table(title=f"{workload}: {_WORK[workload]}", title_justify="left")
    table.add_column("", no_wrap=True)
    for column in ("messages/s", "from - to", "CPU µs", "from - to", "our rate", "our CPU"):
        table.add_column(column, justify="right", no_wrap=True)
    ours = peers.get("jetmesh")
    for name, peer in sorted(peers.items(), key=lambda pair: pair[1]["cpu_us"]):
        (slow, fast), (cheap, dear) = peer["rate_spread"], peer["cpu_us_spread"]
        table.add_row(
            titles.get(name, name),
            f"{peer['rate']:,}",
            f"{slow / 1e3:.1f}k - {fast / 1e3:.1f}k",
            f"{peer['cpu_us']:.2f}",
            f"{cheap:.1f} - {dear:.1f}",
            *_compared(ours, peer),
            style="bold" if name == "jetmesh" else "",
        )
    return table


def _compared(ours: dict[str, Any] | None, peer: dict[str, Any]) -> tuple[str, str]:
    if ours is None or ours is peer:
        return "", ""
    return f"{ours['rate'] / peer['rate']:.2f}x", f"1/{peer['cpu_us'] / ours['cpu_us']:.2f}"


def _effects(effects: dict[str, Any]) -> Table:
    table = Table(title="the look before an effect", title_justify="left")
    for column in ("", "messages/s", "CPU µs"):
        table.add_column(column, justify="right" if column else "left")
    for name, text in EFFECTS.items():
        each = effects[name]
        table.add_row(f"{name}: {text}", f"{each['rate']:,}", f"{each['cpu_us']:.1f}")
    return table


def _isolation(ways: dict[str, Any]) -> Table:
    table = Table(title="what identities cost: process", title_justify="left")
    for column in ("", "messages/s", "service CPU µs", "server CPU µs", "from - to"):
        table.add_column(column, justify="right" if column else "left")
    for name, text in WAYS.items():
        each = ways[name]
        least, most = each["server_us_spread"]
        table.add_row(
            text,
            f"{each['rate']:,}",
            f"{each['cpu_us']:.1f}",
            f"{each['server_us']:.1f}",
            f"{least:.1f} - {most:.1f}",
        )
    return table


def _memory(memory: dict[str, Any]) -> Table:
    table = Table(title="memory of the idle mesh, MiB", title_justify="left")
    for column in ("process", "RSS", "PSS"):
        table.add_column(column, justify="left" if column == "process" else "right")
    for name, each in {**memory["services"], **memory["others"], "whole": memory["mesh"]}.items():
        table.add_row(name, f"{each['rss']:.1f}", f"{each['pss']:.1f}")
    return table


def _latency(latency: dict[str, Any]) -> str:
    return (
        f"purchase to notification at {latency['rate']}/s, {latency['purchases']} purchases: "
        f"p50 {latency['p50_ms']:.1f} ms, p99 {latency['p99_ms']:.1f} ms, "
        f"longest {latency['max_ms']:.1f} ms; CPU ms per purchase: "
        + ", ".join(f"{name} {ms:.2f}" for name, ms in latency["cpu_ms_per_purchase"].items())
        + "\n"
    )


def _history(history: list[dict[str, Any]]) -> Table:
    table = Table(title="cost as history grows", title_justify="left")
    columns = {
        "keys": "stored keys",
        "cpu_us": "CPU µs",
        "rate": "messages/s",
        "lookup_ms_p50": "look-up ms",
        "lookup_ms_p99": "p99",
        "server_rss_mib": "server MiB",
        "read_model_ready_s": "read model s",
    }
    for title in columns.values():
        table.add_column(title, justify="right")
    for entry in history:
        table.add_row(*(f"{entry[name]:,}" for name in columns))
    return table


def _proof(proof: list[dict[str, Any]]) -> Table:
    table = Table(title="can-deploy, from its start to its end", title_justify="left")
    for title in ("stored orders", "seconds", "orders/s", "most MiB so far"):
        table.add_column(title, justify="right")
    for each in proof:
        values = (each["stored"], each["seconds"], each["rate"], each["rss_mib"])
        table.add_row(*(f"{value:,}" for value in values))
    return table


def _steps(steps: dict[str, Any]) -> Table:
    table = Table(title="steps of a state", title_justify="left")
    columns = ("", "inputs/s", "CPU µs", "beside process", "server CPU µs", "repeated", "ms each")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    for name, each in steps.items():
        table.add_row(
            f"{name}: {STEPS[name]}" if name in STEPS else f"{name}: a handler without state",
            f"{each['rate']:,.0f}",
            f"{each['cpu_us']:.1f}",
            f"{each['cpu_us'] / steps['process']['cpu_us']:.1f}x",
            f"{each['server_us']:.1f}",
            f"{each['repeated']:.0%}" if "repeated" in each else "",
            f"{each['ms']:.2f}" if "ms" in each else "",
        )
    return table


def _states(keys: list[dict[str, Any]]) -> Table:
    table = Table(title="steps on ever more keys", title_justify="left")
    columns = {
        "keys": "keys",
        "rate": "steps/s",
        "cpu_us": "CPU µs",
        "server_us": "server CPU µs",
        "rss_mib": "MiB",
        "server_rss_mib": "server MiB",
    }
    for title in columns.values():
        table.add_column(title, justify="right")
    for each in keys:
        table.add_row(*(f"{each[name]:,}" for name in columns))
    return table


def _budgets(results: dict[str, Any]) -> Table:
    table = Table(title="budgets", title_justify="left")
    for column in ("promise", "measured", ""):
        table.add_column(column)
    for budget in budgets(results):
        verdict = "[green]met" if budget.met else "[red]missed"
        table.add_row(budget.promise, budget.measured, verdict)
    return table


_PARTS: Final[dict[str, Callable[[Any], Table | str]]] = {
    "effects": _effects,
    "isolation": _isolation,
    "memory_mib": _memory,
    "latency": _latency,
    "history": _history,
    "proof": _proof,
}
"""What shows a part of the results, in the order of showing."""
