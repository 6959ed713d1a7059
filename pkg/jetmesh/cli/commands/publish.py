"""Check events against their contract, store them, and say where.

Example: jetmesh publish purchases.created examples/purchases/good.json

Example: jq -c '.[]' many.json | jetmesh publish purchases.created -
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from jetmesh.cli.broker import load
from jetmesh.cli.connection import connected
from jetmesh.cli.console import read_file, read_input
from jetmesh.cli.options import NatsUrl, System
from jetmesh.cli.output import echo, finishing
from jetmesh.cli.progress import progress
from jetmesh.operate.publish import Checked, check, spec_for, split
from jetmesh.operate.publish import publish as store
from jetmesh.settings import NatsSettings
from jetmesh.transport.stored import PubAck

_MANY = 20
"""Above it one line each would only hide the sum."""


def publish(
    subject: Annotated[str, typer.Argument(help="The events' subject, such as purchases.created.")],
    file: Annotated[
        str, typer.Argument(help="A file with one JSON object, or one per line; - reads stdin.")
    ],
    system: System = "",
    nats_url: NatsUrl = "",
) -> None:
    nats, topology = load(system, nats_url)
    read = read_input() if file == "-" else read_file(Path(file), "Name a file, or - for stdin.")
    events = check(spec_for(topology, subject), split(read))
    with finishing():  # of many events those that follow are stored, too
        asyncio.run(_few(nats, events) if len(events) <= _MANY else _many(nats, events))


async def _few(nats: NatsSettings, events: Sequence[Checked]) -> None:
    async with connected(nats) as control:
        async for ack in store(control, events):
            note = " (was stored before)" if ack.duplicate else ""
            echo(f"{ack.stream} {ack.sequence}{note}")


async def _many(nats: NatsSettings, events: Sequence[Checked]) -> None:
    first: PubAck | None = None
    with progress("Publishing", len(events)) as update:
        async with connected(nats) as control:
            async for ack in store(control, events):
                first, last = first or ack, ack
                update(advance=1)
    if first is not None:
        echo(f"{len(events)} events: {last.stream} {first.sequence} to {last.sequence}")
