"""Start the broker, the sandboxes and every service, and watch over them.

A service is started by cmd/SERVICE/main.py where there is one, else as `jetmesh run` does. With
--together one process runs them all, without these programs: for development and small machines,
because a handler that keeps the event loop keeps it from all of them. Ctrl-C stops them in order;
stored data is kept for the next start.

The broker lets each service do what it declares. Who does not log in may publish what comes from
outside, and look at streams and services; the other commands are the operator.

Example: jetmesh up --reload

Example: jetmesh up --only payments --only notifications --replicas payments=3
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from jetmesh.cli.options import System
from jetmesh.cli.output import finishing
from jetmesh.errors import UsageError
from jetmesh.extras import require
from jetmesh.operate.project import find_project
from jetmesh.operate.up import supervise
from jetmesh.operate.up.logfiles import LogFiles
from jetmesh.operate.up.programs import Chosen
from jetmesh.operate.up.screen import Screen


def up(  # noqa: PLR0913 - options of the command
    system: System = "",
    port: Annotated[
        int, typer.Option(help="Port of the broker. Default: 4222, or the next free one.")
    ] = 0,
    store: Annotated[
        Path | None, typer.Option(help="Directory for the broker's data. Default: .jetmesh/nats.")
    ] = None,
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE", help="Start this service and no others; repeatable."),
    ] = None,
    replicas: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE=N", help="Start N processes of a service; repeatable."),
    ] = None,
    together: Annotated[
        bool,
        typer.Option(
            "--together", help="Run all services in one process: sooner there, and smaller."
        ),
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="Restart the services that import a changed file.")
    ] = False,
    sandbox: Annotated[
        bool,
        typer.Option("--sandbox/--no-sandbox", help="Start stand-ins for the servers outside."),
    ] = True,
    everybody: Annotated[
        bool,
        typer.Option(
            "--open", help="Let everybody do everything on the broker, and see every page."
        ),
    ] = False,
    tls: Annotated[
        bool, typer.Option("--tls", help="Encrypt, with an authority made for this project.")
    ] = False,
) -> int:
    if reload:
        require("up", "jetmesh up --reload", "watchfiles")
    if tls:
        require("up", "jetmesh up --tls", "trustme")
    if together and replicas:
        raise UsageError(
            "--together runs one process, --replicas several.", remedy="Choose one of the two."
        )
    counts = dict(map(_count, replicas or ()))
    chosen = Chosen(sandboxes=sandbox, only=tuple(only or ()), replicas=counts, together=together)
    place = store.resolve() if store else None
    options = supervise.Options(port, place, chosen, reload=reload, everybody=everybody, tls=tls)
    project = find_project(system)
    with finishing(), contextlib.closing(LogFiles(project.state / "logs")) as files:
        return supervise.up(project, options, Screen(record=files.write))


def _count(text: str) -> tuple[str, int]:
    """`payments=3`.

    Raises:
        UsageError: it is written otherwise.
    """
    name, _, number = text.partition("=")
    if not (number.isdecimal() and int(number)):
        raise UsageError(
            f"--replicas takes a service and a number, not {text!r}.",
            remedy="Write --replicas payments=3; --only leaves services out.",
        )
    return name, int(number)
