"""Show services, events, streams and durables, as declared; or who may do what on the broker.

Without --account, users are those of a server without accounts.

Example: jetmesh topology --format mermaid > flow.mmd

Example: jetmesh topology --format mermaid --process fulfilment.orders > steps.mmd

Example: jetmesh topology --format permissions > authorization.conf

Example: jetmesh topology --format permissions --isolation pages --credentials nkeys > mesh.conf
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from jetmesh.cli.options import System
from jetmesh.cli.output import echo
from jetmesh.errors import UsageError
from jetmesh.operate.graph import Format, render
from jetmesh.operate.identities import ACCOUNT, RESERVED, Isolation, Nkeys, Variables, server_config
from jetmesh.operate.processes.flow import chosen, drawn, flows
from jetmesh.operate.project import Whole, find_project


def topology(
    system: System = "",
    format_: Annotated[
        str, typer.Option("--format", help="text, mermaid, json or permissions.")
    ] = "text",
    process: Annotated[
        str,
        typer.Option(metavar="NAME", help="With mermaid: the steps of this process."),
    ] = "",
    isolation: Annotated[
        str,
        typer.Option(
            help="Of permissions. users: one account. pages: accounts for the outside client and "
            "services with pages. all: one for each service."
        ),
    ] = "users",
    credentials: Annotated[
        str,
        typer.Option(help="Of permissions. passwords, from variables of nats-server, or nkeys."),
    ] = "passwords",
    account: Annotated[
        str,
        typer.Option(help="Of permissions: the account that holds the streams. Default: MESH."),
    ] = "",
    seeds: Annotated[
        Path | None,
        typer.Option(help="Where seeds of nkeys are kept. Default: .jetmesh/identities."),
    ] = None,
) -> None:
    _require("format", format_, (*get_args(Format), "permissions"))
    _require("isolation", isolation, get_args(Isolation))
    _require("kind of credentials", credentials, ("passwords", "nkeys"))
    if process and format_ != "mermaid":
        raise UsageError("The steps of a process are drawn.", remedy="Add --format mermaid.")
    project = find_project(system)
    whole = project.load()
    if process:
        echo("\n".join(line for flow in chosen(whole.topology, process) for line in drawn(flow)))
    elif format_ == "permissions":
        kept = (seeds or project.state / "identities") if credentials == "nkeys" else None
        echo(_permissions(whole, cast("Isolation", isolation), account, kept))
    else:
        echo(render(whole.topology, cast("Format", format_)))
    if format_ == "mermaid" and not process:
        _say_which_processes(whole)


def _say_which_processes(whole: Whole) -> None:
    """A Mermaid document has one diagram: those of processes are others."""
    for flow in flows(whole.topology):
        name = flow.spec.title
        echo(f"The steps of {name} are a diagram of their own: --process {name}", err=True)


def _permissions(whole: Whole, isolation: Isolation, account: str, seeds: Path | None) -> str:
    """The part of a server's configuration; with nkeys where `seeds` keeps them."""
    names = [*RESERVED, *(service.name for service in whole.services)]
    config = server_config(
        whole.topology,
        isolation=isolation,
        credentials=Nkeys.kept_in(seeds, names) if seeds else Variables(),
        account=account or ("" if isolation == "users" else ACCOUNT),
        js_api=whole.loaded.settings.nats.js_api,
    )
    return config.text.rstrip()


def _require(what: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        remedy = f"Choose one of: {', '.join(known)}."
        raise UsageError(f"There is no {what} {given!r}.", remedy=remedy)
