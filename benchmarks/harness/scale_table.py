"""What grows, as a table: a row for each measure, a column for each size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table


def tables(results: Mapping[str, Any]) -> Iterator[Table]:
    """Those of the part `scale`, if it was measured."""
    scale = results.get("scale", {})
    rows = {
        "what grows with services": scale.get("services", ()),
        "what grows with keys": scale.get("keys", ()),
        "instances of one service": [results["instances"]] if "instances" in results else (),
    }
    for title, columns in rows.items():
        if columns:
            yield _table(title, columns)


def _table(title: str, columns: Sequence[Mapping[str, Any]]) -> Table:
    """One column for each of `columns`, which have the same measures."""
    table = Table(title=title, title_justify="left", show_header=False)
    for measure in columns[0]:
        shown = (_shown(column[measure]) for column in columns)
        table.add_row(measure.replace("_", " "), *shown)
    return table


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return f"{value['seconds']:,} s ({value['cpu_seconds']:,} s of CPU)"
    return ", ".join(map(_shown, value)) if isinstance(value, list) else f"{value:,}"
