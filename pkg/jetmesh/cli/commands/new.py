"""Write the files that something new begins with; nothing that exists is overwritten.

Example: jetmesh new service pricing --on car.left --emits fee.due
"""

from __future__ import annotations

from typing import Annotated

import typer

from jetmesh.cli.files import name_written
from jetmesh.cli.options import System
from jetmesh.cli.output import echo
from jetmesh.operate.project import find_project
from jetmesh.operate.scaffold.service import NewService, add_service

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.command()
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
    name_written(add_service(find_project(system), NewService(name, on, emits or ())))
    echo(
        f"\nNext: make the handler do what it is for. `jetmesh up` starts it with the others, "
        f"`jetmesh run {name}` alone."
    )
