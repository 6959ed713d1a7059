"""`jetmesh topology` and `settings`: what is declared and set, without a server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from rich.table import Table
from rich.text import Text

from jetmesh.cli.console import console, print_json, print_lines
from jetmesh.cli.output import echo
from jetmesh.declare.setting import variable
from jetmesh.errors import UsageError
from jetmesh.operate.graph import Format, render
from jetmesh.operate.identities import ACCOUNT, RESERVED, Isolation, Nkeys, Variables, server_config
from jetmesh.operate.processes.flow import chosen, drawn, flows
from jetmesh.operate.project import Project, Whole, find_project
from jetmesh.operate.up import upfile
from jetmesh.privacy.mask import printable
from jetmesh.settings import load_settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """How permissions are to be written."""

    isolation: str
    credentials: str
    account: str
    seeds: Path | None


def topology(reference: str, wanted: str, permissions: Wanted, process: str = "") -> None:
    """Print the topology, or the steps of one process."""
    format_ = _one_of("format", wanted, (*get_args(Format), "permissions"))
    project = find_project(reference)
    whole = project.load()
    if process and format_ != "mermaid":
        raise UsageError("The steps of a process are drawn.", remedy="Add --format mermaid.")
    if process:
        echo("\n".join(line for flow in chosen(whole.topology, process) for line in drawn(flow)))
    elif format_ == "permissions":
        echo(_permissions(project, whole, permissions))
    else:
        echo(render(whole.topology, cast("Format", format_)))
    if format_ == "mermaid" and not process:
        _say_which_processes(whole)


def _say_which_processes(whole: Whole) -> None:
    """A Mermaid document has one diagram: those of processes are others."""
    for flow in flows(whole.topology):
        name = flow.spec.title
        echo(f"The steps of {name} are a diagram of their own: --process {name}", err=True)


def _permissions(project: Project, whole: Whole, wanted: Wanted) -> str:
    isolation = cast("Isolation", _one_of("isolation", wanted.isolation, get_args(Isolation)))
    kind = _one_of("kind of credentials", wanted.credentials, ("passwords", "nkeys"))
    names = [*RESERVED, *(service.name for service in whole.services)]
    seeds = wanted.seeds or project.state / "identities"
    config = server_config(
        whole.topology,
        isolation=isolation,
        credentials=Nkeys.kept_in(seeds, names) if kind == "nkeys" else Variables(),
        account=wanted.account or ("" if isolation == "users" else ACCOUNT),
        js_api=whole.loaded.settings.nats.js_api,
    )
    return config.text.rstrip()


def _one_of(what: str, given: str, known: Sequence[str]) -> str:
    if given not in known:
        remedy = f"Choose one of: {', '.join(known)}."
        raise UsageError(f"There is no {what} {given!r}.", remedy=remedy)
    return given


def settings(reference: str, *, changed: bool, as_json: bool) -> None:
    """Print the settings in effect, or those of the mesh that runs here."""
    project = find_project(reference)
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
