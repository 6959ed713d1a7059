"""Write a small project that runs at once: events, a service, its test.

It gets a directory of its own below this one; nothing that exists is overwritten. Then `jetmesh up`
starts it, and `jetmesh new service` adds to it.

Example: jetmesh init garage
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jetmesh import __version__
from jetmesh.cli.files import name_written
from jetmesh.cli.output import echo
from jetmesh.operate.scaffold.project import FIRST, new_project


def init(
    name: Annotated[str, typer.Argument(help="The name of project, directory and package.")],
) -> None:
    name_written(new_project(name, Path.cwd(), __version__))
    steps = (
        f"cd {name}",
        "jetmesh up --reload",
        f"jetmesh publish {FIRST.on} examples/{FIRST.on}/example.json   # in another terminal",
        "jetmesh trace car-1",
        "jetmesh new service pricing --on car.left --emits fee.due",
    )
    echo("\nNext:\n" + "\n".join(f"  {step}" for step in steps))
