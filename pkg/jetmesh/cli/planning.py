"""`jetmesh plan`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jetmesh.cli.options import AsJson, NatsUrl, System


def plan(  # noqa: PLR0913 - options of the command
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if anything differs.")
    ] = False,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=QUANTITY",
            help="What is to be carried: EVENT=2000/s, keys=12M/year, bytes=2KiB of an event, "
            "SERVICE.HANDLER=200ms of a call; repeatable.",
        ),
    ] = None,
    pods: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE=N", help="Processes of a service; repeatable."),
    ] = None,
    servers: Annotated[
        str, typer.Option(metavar="N", help="How many nats-servers. Default: as many as there are.")
    ] = "",
    values: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Values laid over those of the chart; repeatable."),
    ] = None,
    within: Annotated[
        str, typer.Option(metavar="DURATION", help="How far to look ahead.")
    ] = "365d",
    as_json: AsJson = False,
) -> None:
    """Show how the broker differs from the declarations; change nothing.

    With --expect, --pods, --servers, --values or --json it tells instead where the mesh and its
    servers end, and exits with 1 if that is reached within a year. That needs no broker; what one
    holds already is counted. docs/scale.md explains the limits.

    Example: jetmesh plan --nats-url nats://broker:4222 --check

    Example: jetmesh plan --expect purchases.created=50/s --expect keys=12M/year --pods payments=30
    """
    from jetmesh.cli import ceilings, provision  # noqa: PLC0415 - see the package

    asked = ceilings.Asked(expect or (), pods or (), servers, values or (), within, as_json)
    if asked.is_asked:
        raise typer.Exit(ceilings.plan(system, nats_url, asked))
    raise typer.Exit(provision.plan(system, nats_url, check=check))
