"""Show how the broker differs from the declarations; change nothing.

With --expect, --pods, --servers, --values or --json it tells instead where the mesh and its servers
end, and exits with 1 if that is reached within a year. That needs no broker; what one holds already
is counted. docs/scale.md explains the limits.

Example: jetmesh plan --nats-url nats://broker:4222 --check

Example: jetmesh plan --expect purchases.created=50/s --expect keys=12M/year --pods payments=30
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jetmesh.cli.broker import load
from jetmesh.cli.ceilings import ceilings_of, near_ceilings, seen_if_told
from jetmesh.cli.changes import show
from jetmesh.cli.connection import asked
from jetmesh.cli.exits import answering
from jetmesh.cli.options import AsJson, NatsUrl, System
from jetmesh.declare import Topology
from jetmesh.operate.apply import plan as plan_of
from jetmesh.operate.ceilings.seen import Seen
from jetmesh.transport.beginnings import with_beginnings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import Plan


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
            help="The load to expect: EVENT=2000/s, keys=12M/year, bytes=2KiB of an event, "
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
) -> int:
    if expect or pods or servers or values or as_json:
        return ceilings_of(
            system,
            nats_url,
            expect=expect or (),
            pods=pods or (),
            servers=servers,
            values=values or (),
            within=within,
            as_json=as_json,
        )
    with answering(when=check):
        nats, topology = load(system, nats_url)
        planned, there = asked(nats, lambda control: _plan(control, topology))
    show(planned)
    passed = near_ceilings(topology, there)
    return 1 if passed or (check and planned.changes) else 0


async def _plan(control: ControlPlane, topology: Topology) -> tuple[Plan, Seen | None]:
    planned = await with_beginnings(control, topology, await plan_of(control, topology))
    return planned, await seen_if_told(control, topology)
