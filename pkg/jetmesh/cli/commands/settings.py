"""Show the settings in effect and where each came from; secrets are masked.

Example: JETMESH__HTTP__PORT=9000 jetmesh settings --changed
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from jetmesh.cli.console import console, print_json, print_lines
from jetmesh.cli.options import AsJson, System
from jetmesh.declare.setting import variable
from jetmesh.operate.project import find_project
from jetmesh.operate.up import upfile
from jetmesh.privacy.mask import printable
from jetmesh.settings import load_settings


def settings(
    system: System = "",
    *,
    changed: Annotated[bool, typer.Option("--changed", help="Leave out the defaults.")] = False,
    as_json: AsJson = False,
) -> None:
    project = find_project(system)
    services = project.system().load()
    told = _told_by(upfile.running(project.state))
    environ = {**told, **os.environ}
    loaded = load_settings(services, file=project.settings_file, environ=environ, whole=True)
    values = [
        replace(each, origin="jetmesh up") if each.origin in told.keys() - os.environ else each
        for each in loaded.effective(services)
        if not (changed and each.origin == "default")
    ]
    if as_json:
        print_json({each.path: {"value": each.value, "origin": each.origin} for each in values})
        return
    if told:
        print_lines([Text("A mesh of this project runs: its values are shown.", "dim")])
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "setting")
    for each in values:
        style = "dim" if each.origin == "default" else ""
        cells = (each.path, each.value, each.origin)
        table.add_row(*(Text(printable(cell), style) for cell in cells))
    console().print(table)


def _told_by(up: upfile.Up | None) -> dict[str, str]:
    """What `jetmesh up` tells its services, by variable; the shell's NATS_URL wins for commands."""
    if up is None:
        return {}
    ports = {
        variable(("services", name, "http", field)): url.rpartition(":")[2]
        for name, each in up.services.items()
        for field, url in (("port", each.url), ("health_port", each.health))
        if url and "#" not in name
    }
    told = up.variables | ports
    if os.environ.get("NATS_URL"):
        told.pop(variable(("nats", "url")), None)
    return told
