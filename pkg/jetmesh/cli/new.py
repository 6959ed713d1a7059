"""`jetmesh init` and `jetmesh new`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from jetmesh import __version__
from jetmesh.cli.options import System
from jetmesh.cli.output import echo

new = typer.Typer(
    no_args_is_help=True,
    help="Write the files that something new begins with; nothing that exists is overwritten.",
)


@new.command()
def service(
    name: Annotated[str, typer.Argument(help="What it is called, such as pricing.")],
    on: Annotated[
        str, typer.Option("--on", metavar="SUBJECT", help="The event that it reacts to.")
    ],
    emits: Annotated[
        list[str] | None,
        typer.Option(metavar="SUBJECT", help="An event that it publishes; repeatable."),
    ] = None,
    system: System = "",
) -> None:
    """Write a service: its handler, contracts that do not exist yet, a test and an example.

    It is listed in the system, and `jetmesh contracts` is brought up to date. Contracts and
    services are written beside those that there are.

    Example: jetmesh new service pricing --on car.left --emits fee.due

    Example: jetmesh new service audit --on fee.due
    """
    from jetmesh.operate.project import find_project  # noqa: PLC0415 - see the package
    from jetmesh.operate.scaffold.service import NewService, add_service  # noqa: PLC0415 - the same

    project = find_project(system)
    _tell(add_service(project, NewService(name, on, emits or ())))
    echo(
        f"\nNext: make the handler do what it is for. `jetmesh up` starts it with the others, "
        f"`jetmesh run {name}` alone."
    )


def init(name: str) -> None:
    """Write a project, and say how it is tried."""
    from jetmesh.operate.scaffold.project import FIRST, new_project  # noqa: PLC0415 - the same

    _tell(new_project(name, Path.cwd(), __version__))
    steps: Sequence[str] = (
        f"cd {name}",
        "jetmesh up --reload",
        f"jetmesh publish {FIRST.on} examples/{FIRST.on}/example.json   # in another terminal",
        "jetmesh trace car-1",
        "jetmesh new service pricing --on car.left --emits fee.due",
    )
    echo("\nNext:\n" + "\n".join(f"  {step}" for step in steps))


def _tell(files: Iterable[Path]) -> None:
    for file in files:
        echo(f"wrote {os.path.relpath(file)}{'/' if file.is_dir() else ''}")
