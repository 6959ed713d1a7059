"""`jetmesh can-deploy`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from jetmesh.cli.connection import broker_of, connected
from jetmesh.cli.console import print_json, print_lines
from jetmesh.cli.exits import FAILED, answering
from jetmesh.declare import Topology
from jetmesh.operate.candeploy.proof import prove
from jetmesh.operate.candeploy.report import Report, sentences
from jetmesh.operate.evolution.released import Released
from jetmesh.operate.project import find_project
from jetmesh.settings import NatsSettings

_STYLES = {"good": "green", "odd": "yellow", "bad": "red", "detail": ""}


def can_deploy(reference: str, nats_url: str, *, accept: int, as_json: bool) -> int:
    """Read what is stored, print what becomes of it; 0 it can be deployed, 1 it cannot.

    Raises:
        UsageError: that could not be found out.
    """
    with answering():
        project = find_project(reference)
        whole = project.load()
        nats = broker_of(project, whole.loaded, nats_url)
        released = Released.of(project.root)
        report = asyncio.run(_report(nats, whole.topology, released, accept))
    if as_json:
        print_json({"deployable": report.deployable, **msgspec.to_builtins(report)})
    else:
        print_lines(_lines(report))
    return 0 if report.deployable else FAILED


async def _report(
    nats: NatsSettings, topology: Topology, released: Released, accepted: int
) -> Report:
    progress = _progress()
    with progress:
        reading = progress.add_task("reading what is stored", total=None)
        async with connected(nats) as control:
            return await prove(
                nats,
                control,
                topology,
                released,
                accepted=accepted,
                on_begin=lambda total: progress.update(reading, total=total),
                on_read=lambda more: progress.advance(reading, more),
            )


def _progress() -> Progress:
    """On standard error, while a terminal is there to show it."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _lines(report: Report) -> Iterator[Text]:
    for tone, text in sentences(report):
        yield Text(text, _STYLES[tone])
