"""`jetmesh topology` and `settings`: what is declared and set, without a server."""

from __future__ import annotations

from typing import cast, get_args

from rich.table import Table
from rich.text import Text

from jetmesh.cli.console import console, print_json
from jetmesh.cli.output import echo
from jetmesh.errors import UsageError
from jetmesh.operate.graph import Format, render
from jetmesh.operate.project import find_project
from jetmesh.privacy.mask import printable


def topology(reference: str, wanted: str) -> None:
    """Print the topology."""
    if wanted not in get_args(Format):
        known = ", ".join(get_args(Format))
        raise UsageError(f"There is no format {wanted!r}.", remedy=f"Choose one of: {known}.")
    whole = find_project(reference).load()
    js_api = whole.loaded.settings.nats.js_api
    echo(render(whole.topology, cast("Format", wanted), js_api=js_api))


def settings(reference: str, *, changed: bool, as_json: bool) -> None:
    """Print the settings in effect."""
    whole = find_project(reference).load()
    effective = whole.loaded.effective(whole.services)
    values = [each for each in effective if not (changed and each.origin == "default")]
    if as_json:
        print_json({each.path: {"value": each.value, "origin": each.origin} for each in values})
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "setting")
    for each in values:
        style = "dim" if each.origin == "default" else ""
        cells = (each.path, each.value, each.origin)
        table.add_row(*(Text(printable(cell), style) for cell in cells))
    console().print(table)
