"""Results for people: tables in the terminal and in the docs, results.json, pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich import table as rich
from rich.console import Console

from harness import scale_chart
from harness.chart import draw
from harness.contenders import HERE
from harness.options import WORKLOADS
from harness.tables import Table, tables

_marked = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_COLOURS: Final = {"met": "[green]met", "missed": "[red]missed"}


def write(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write results.json, and the pictures of what was measured; returns what was written."""
    texts = {"results.json": json.dumps(results, indent=2) + "\n"}
    if any(workload in results for workload in WORKLOADS):
        texts["results.svg"] = draw(results, results["titles"])
    if "scale" in results:
        texts["scale.svg"] = scale_chart.draw({**results["scale"], "machine": results["machine"]})
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]


def write_pages(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Renew the tables between `<!-- measured: NAME -->` and the end of a table, if measured."""
    found = {name: _markdown(table) for name, table in tables(results).items()}
    changed = []
    for page in folder.glob("*.md"):
        text = page.read_text()
        renewed = _marked.sub(
            lambda at: f"{at[1]}\n{found[at[2]]}\n{at[3]}" if at[2] in found else at[0], text
        )
        if renewed != text:
            page.write_text(renewed)
            changed.append(page)
    return changed


def show(results: Mapping[str, Any], console: Console) -> None:
    """Print every table."""
    for table in tables(results).values():
        console.print(_rich(table))
    for name, reason in results["missing"].items():
        console.print(f"[yellow]{name} was not measured: {reason}")


def _rich(table: Table) -> rich.Table:
    shown = rich.Table(title=table.title, title_justify="left")
    for number, head in enumerate(table.heads):
        shown.add_column(head, justify="right" if number else "left", no_wrap=number > 0)
    for row in table.rows:
        shown.add_row(*(_COLOURS.get(cell, cell) for cell in row))
    return shown


def _markdown(table: Table) -> str:
    rows = [
        tuple(cell and f"**{cell}**" for cell in row) if row[0] == "jetmesh" else row
        for row in table.rows
    ]
    lines = (table.heads, ("---", *("---:" for _ in table.heads[1:])), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Renew the pages from the results that are there."""
    results = json.loads((HERE / "results.json").read_text())
    for page in write_pages(results, HERE.parent / "docs"):
        print(page)


if __name__ == "__main__":
    main()
