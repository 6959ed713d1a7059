"""Results as tables of text: the terminal shows them, and the pages of the docs hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.effects import WORKLOADS as EFFECTS
from harness.isolation import WAYS
from harness.numbers import budgets
from harness.remembering import STEPS

Results = Mapping[str, Any]
Row = tuple[str, ...]

_WORK: Final = {
    "process": "consume, decode, decide, publish guarded, PubAck, ack",
    "consume": "consume, decode, ack",
}
_HISTORY: Final = {
    "keys": "stored keys",
    "cpu_us": "CPU µs",
    "rate": "messages/s",
    "lookup_ms_p50": "look-up ms",
    "lookup_ms_p99": "p99",
    "server_rss_mib": "server MiB",
    "read_model_ready_s": "read model s",
}
_PROOF: Final = {
    "stored": "stored orders",
    "seconds": "seconds",
    "rate": "orders/s",
    "rss_mib": "most MiB so far",
}
_KEYS: Final = {
    "keys": "keys",
    "rate": "steps/s",
    "cpu_us": "CPU µs",
    "server_us": "server CPU µs",
    "rss_mib": "MiB",
    "server_rss_mib": "server MiB",
}


@dataclass(frozen=True, slots=True)
class Table:
    """One table; the first column is text, the others are numbers."""

    title: str
    heads: Row
    rows: Sequence[Row]


def tables(results: Results) -> dict[str, Table]:
    """Those of the parts that were measured, by name."""
    found = {
        workload: _throughput(workload, results[workload], results["titles"])
        for workload in _WORK
        if workload in results
    }
    for name, (part, table_of) in _TABLES.items():
        if results.get(part):
            found[name] = table_of(results[part])
    scale = results.get("scale", {})
    grown = {
        "services": ("what grows with services", scale.get("services")),
        "keys": ("what grows with keys", scale.get("keys")),
        "instances": ("instances of one service", [results.get("instances")]),
    }
    for name, (title, columns) in grown.items():
        if columns and columns[0]:
            found[name] = _grown(title, columns)
    verdicts = [(b.promise, b.measured, "met" if b.met else "missed") for b in budgets(results)]
    return {**found, "budgets": Table("budgets", ("promise", "measured", ""), verdicts)}


def _throughput(workload: str, peers: Results, titles: Mapping[str, str]) -> Table:
    ours = peers.get("jetmesh")
    rows = []
    for name, peer in sorted(peers.items(), key=lambda pair: pair[1]["cpu_us"]):
        (slow, fast), (cheap, dear) = peer["rate_spread"], peer["cpu_us_spread"]
        spreads = f"{slow / 1e3:.1f}k - {fast / 1e3:.1f}k", f"{cheap:.1f} - {dear:.1f}"
        rows.append(
            (
                titles.get(name, name),
                f"{peer['rate']:,}",
                spreads[0],
                f"{peer['cpu_us']:.2f}",
                spreads[1],
                *_compared(ours, peer),
            )
        )
    heads = ("", "messages/s", "from - to", "CPU µs", "from - to", "our rate", "our CPU")
    return Table(f"{workload}: {_WORK[workload]}", heads, rows)


def _compared(ours: Results | None, peer: Results) -> Row:
    if ours is None or ours is peer:
        return "", ""
    return f"{ours['rate'] / peer['rate']:.2f}x", f"1/{peer['cpu_us'] / ours['cpu_us']:.2f}"


def _effects(effects: Results) -> Table:
    rows = [
        (f"{name}: {text}", f"{effects[name]['rate']:,}", f"{effects[name]['cpu_us']:.1f}")
        for name, text in EFFECTS.items()
    ]
    return Table("the look before an effect", ("", "messages/s", "CPU µs"), rows)


def _isolation(ways: Results) -> Table:
    rows = []
    for name, text in WAYS.items():
        each = ways[name]
        least, most = each["server_us_spread"]
        costs = f"{each['cpu_us']:.1f}", f"{each['server_us']:.1f}"
        rows.append((text, f"{each['rate']:,}", *costs, f"{least:.1f} - {most:.1f}"))
    heads = ("", "messages/s", "service CPU µs", "server CPU µs", "from - to")
    return Table("what identities cost: process", heads, rows)


def _memory(memory: Results) -> Table:
    each = {**memory["services"], **memory["others"], "whole": memory["mesh"]}
    rows = [(name, f"{mib['rss']:.1f}", f"{mib['pss']:.1f}") for name, mib in each.items()]
    return Table("memory of the idle mesh, MiB", ("process", "RSS", "PSS"), rows)


def _latency(latency: Results) -> Table:
    costs = latency["cpu_ms_per_purchase"]
    rows = [(f"{name}, CPU ms", f"{ms:.2f}") for name, ms in costs.items()]
    rows.append(("whole, CPU ms", f"{sum(costs.values()):.2f}"))
    times = {"p50": "p50_ms", "p99": "p99_ms", "longest": "max_ms"}
    rows += [
        (f"purchase to notification, {name}, ms", f"{latency[key]:.1f}")
        for name, key in times.items()
    ]
    title = f"{latency['purchases']:,} purchases at {latency['rate']}/s"
    return Table(title, ("of one purchase", ""), rows)


def _steps(state: Results) -> Table:
    steps = state["steps"]
    rows = []
    for name, each in steps.items():
        rows.append(
            (
                f"{name}: {STEPS.get(name, 'a handler without state')}",
                f"{each['rate']:,.0f}",
                f"{each['cpu_us']:.1f}",
                f"{each['cpu_us'] / steps['process']['cpu_us']:.1f}x",
                f"{each['server_us']:.1f}",
                f"{each['repeated']:.0%}" if "repeated" in each else "",
                f"{each['ms']:.2f}" if "ms" in each else "",
            )
        )
    heads = ("", "inputs/s", "CPU µs", "beside process", "server CPU µs", "repeated", "ms each")
    return Table("steps of a state", heads, rows)


def _columns(title: str, columns: Mapping[str, str]) -> Callable[[Sequence[Results]], Table]:
    """A row for each entry of a list."""

    def table_of(entries: Sequence[Results]) -> Table:
        rows = [tuple(f"{entry[name]:,}" for name in columns) for entry in entries]
        return Table(title, tuple(columns.values()), rows)

    return table_of


def _grown(title: str, columns: Sequence[Results]) -> Table:
    """A row for each measure, a column for each size."""
    measures = list(columns[0])
    shown = [
        (_words(measure), *(_shown(column[measure]) for column in columns)) for measure in measures
    ]
    return Table(title, shown[0], shown[1:])


def _words(measure: str) -> str:
    return measure.replace("_", " ").replace("cpu", "CPU").replace("mib", "MiB")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return f"{value['seconds']:,} s ({value['cpu_seconds']:,} s of CPU)"
    return ", ".join(map(_shown, value)) if isinstance(value, list) else f"{value:,}"


_TABLES: Final[Mapping[str, tuple[str, Callable[[Any], Table]]]] = {
    "effects": ("effects", _effects),
    "isolation": ("isolation", _isolation),
    "memory": ("memory_mib", _memory),
    "latency": ("latency", _latency),
    "history": ("history", _columns("cost as history grows", _HISTORY)),
    "proof": ("proof", _columns("can-deploy, from its start to its end", _PROOF)),
    "steps": ("state", _steps),
    "states": ("state", lambda state: _columns("steps on ever more keys", _KEYS)(state["keys"])),
}
"""By name: the part of the results, and what makes its table."""
