"""`jetmesh topology`, `contracts` and `settings`: what is declared and set, without a server."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import get_args

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jetmesh.errors import UsageError
from jetmesh.operate import contracts as contract_files
from jetmesh.operate.graph import Format, render
from jetmesh.operate.project import find_project
from jetmesh.privacy.mask import printable

_WIDE = 160
"""Columns when no terminal limits them."""


def topology(reference: str, wanted: str) -> None:
    """Print the topology."""
    for format_ in get_args(Format):
        if wanted == format_:
            typer.echo(render(find_project(reference).load().topology, format_))
            return
    known = ", ".join(get_args(Format))
    raise UsageError(f"There is no format {wanted!r}.", remedy=f"Choose one of: {known}.")


def contracts(reference: str, directory: Path | None, *, check: bool) -> int:
    """Write the contracts, or only say which files are stale; 1 if any is."""
    project = find_project(reference)
    whole = project.load()
    target = directory or project.root / "contracts"
    if not check:
        written = contract_files.write(whole.system, whole.topology, target)
        typer.echo(f"Wrote {len(written)} files below {os.path.relpath(target)}.")
        return 0
    stale = contract_files.stale(whole.system, whole.topology, target)
    if not stale:
        typer.echo("The contracts are up to date.")
        return 0
    for path in stale:
        typer.echo(os.path.relpath(path))
    typer.echo(
        f"{len(stale)} contract files are stale. Run `jetmesh contracts` and commit them.", err=True
    )
    return 1


def settings(reference: str, *, changed: bool, as_json: bool) -> None:
    """Print the settings in effect."""
    whole = find_project(reference).load()
    values = [
        each
        for each in whole.loaded.effective(whole.services)
        if not (changed and each.origin == "default")
    ]
    if as_json:
        data = {each.path: {"value": each.value, "origin": each.origin} for each in values}
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "setting")
    for each in values:
        style = "dim" if each.origin == "default" else ""
        cells = (each.path, each.value, each.origin)
        table.add_row(*(Text(printable(cell), style) for cell in cells))
    Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE).print(table)
