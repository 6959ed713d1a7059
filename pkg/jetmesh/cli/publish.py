"""`jetmesh publish`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from jetmesh.cli.connection import connected, load
from jetmesh.cli.console import read_file, read_input
from jetmesh.cli.output import echo, finishing
from jetmesh.operate.publish import Checked, check, spec_for, split
from jetmesh.operate.publish import publish as store
from jetmesh.settings import NatsSettings
from jetmesh.transport.stored import PubAck

_MANY = 20
"""Above it one line each would only hide the sum."""


def publish(subject: str, file: str, reference: str, nats_url: str) -> None:
    """Check, store, and print stream and sequence."""
    settings, topology = load(reference, nats_url)
    events = check(spec_for(topology, subject), split(_read(file)))
    with finishing():  # of many events those that follow are stored, too
        asyncio.run(_publish(settings, events))


def _read(file: str) -> bytes:
    if file == "-":
        return read_input()
    return read_file(Path(file), "Name a file, or - for stdin.")


async def _publish(settings: NatsSettings, events: Sequence[Checked]) -> None:
    many = len(events) > _MANY
    first: PubAck | None = None
    console = Console(stderr=True)
    async with connected(settings) as control:
        with Progress(console=console, disable=not many, transient=True) as progress:
            bar = progress.add_task("Publishing", total=len(events))
            async for ack in store(control, events):
                first = first or ack
                last = ack
                if many:
                    progress.advance(bar)
                else:
                    note = " (was stored before)" if ack.duplicate else ""
                    echo(f"{ack.stream} {ack.sequence}{note}")
    if many and first is not None:
        echo(f"{len(events)} events: {last.stream} {first.sequence} to {last.sequence}")
