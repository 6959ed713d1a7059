"""Make the broker's streams and durables match the declarations.

With --wait it tries again while the broker is down or has no leader; a refused change fails at
once.

A durable that was lost is made as declared, usually from the first event on. Its service says in
/readyz up to where it had acked: --behind begins there.

Example: jetmesh apply

Example: jetmesh apply --wait 2m

Example: jetmesh apply --behind ORDERS/payments-charge=1712
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from jetmesh.cli.broker import load
from jetmesh.cli.changes import show
from jetmesh.cli.console import print_lines
from jetmesh.cli.options import NatsUrl, System, duration
from jetmesh.declare import Topology
from jetmesh.errors import UsageError
from jetmesh.operate.apply import apply as apply_plan
from jetmesh.operate.humanize import counted


def apply(
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    allow_data_loss: Annotated[
        bool, typer.Option("--allow-data-loss", help="Also make changes that delete stored events.")
    ] = False,
    wait: Annotated[
        str,
        typer.Option(metavar="DURATION", help="How long to wait for the broker, such as 2m."),
    ] = "0s",
    behind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STREAM/DURABLE=N",
            help="Make a lost durable again so that it goes on after message N.",
        ),
    ] = None,
) -> None:
    seconds = duration("--wait", wait)
    nats, topology = load(system, nats_url)
    carried_out = apply_plan(
        nats,
        topology,
        floors=_floors(behind or (), topology),
        allow_data_loss=allow_data_loss,
        wait=seconds,
        on_wait=_wait,
        on_refused=show,
    )
    planned = asyncio.run(carried_out)
    show(planned)
    if planned.changes:
        print_lines([Text(f"Applied {counted(len(planned.changes), 'change')}.", "green")])


def _floors(given: Sequence[str], topology: Topology) -> dict[str, int]:
    """`ORDERS/payments-charge=17` as what it says."""
    known = [durable.path for durable in topology.durables]
    floors = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in known or not number.isdecimal():
            raise UsageError(
                f"--behind {text} does not name a durable and its last acked message.",
                remedy=f"Write one of these, =, and a number: {', '.join(sorted(known))}.",
            )
        floors[name] = int(number)
    return floors


def _wait(reason: str) -> None:
    print_lines([Text(f"Waiting: {reason}", "dim")], err=True)
