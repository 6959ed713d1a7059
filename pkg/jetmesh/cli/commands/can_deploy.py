"""Decode what the broker holds with the code of this checkout: would anything be lost?

Reads every stored message that a declared handler or read model will meet, what waits on lanes or
is to come later, and open dead letters. It changes nothing. Exits with 0 when the code can be
deployed, 1 when it cannot, 2 when that is not known.

Example: jetmesh can-deploy --nats-url nats://broker:4222

Example: jetmesh can-deploy --json | jq '.events[] | {subject, stored, decode}'
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.text import Text

from jetmesh.cli.broker import broker_of
from jetmesh.cli.connection import asked
from jetmesh.cli.console import show
from jetmesh.cli.exits import FAILED, answering
from jetmesh.cli.options import AsJson, NatsUrl, System
from jetmesh.cli.progress import progress
from jetmesh.operate.candeploy.proof import prove
from jetmesh.operate.candeploy.report import sentences
from jetmesh.operate.evolution.released import Released
from jetmesh.operate.project import find_project

_STYLES = {"good": "green", "odd": "yellow", "bad": "red", "detail": ""}


def can_deploy(
    system: System = "",
    nats_url: NatsUrl = "",
    accept: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Accept that this many messages become unreadable."),
    ] = 0,
    *,
    as_json: AsJson = False,
) -> int:
    with answering():
        project = find_project(system)
        whole = project.load()
        nats = broker_of(project, whole.loaded, nats_url)
        released = Released.of(project.root)
        with progress("reading what is stored") as update:
            report = asked(
                nats,
                lambda control: prove(
                    nats,
                    control,
                    whole.topology,
                    released,
                    accepted=accept,
                    on_begin=lambda total: update(total=total),
                    on_read=lambda more: update(advance=more),
                ),
            )
    data = {"deployable": report.deployable, **msgspec.to_builtins(report)}
    lines = (Text(text, _STYLES[tone]) for tone, text in sentences(report))
    show(data, lines, as_json=as_json)
    return 0 if report.deployable else FAILED
