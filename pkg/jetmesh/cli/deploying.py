"""`jetmesh plan` and `apply`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from jetmesh.cli.connecting import broker_of, connected
from jetmesh.declare import Topology
from jetmesh.errors import DriftError
from jetmesh.operate.project import find_project
from jetmesh.settings import NatsSettings
from jetmesh.transport import provision
from jetmesh.transport.provision import Change, Plan

_MARKS = {"create": ("+", "green"), "update": ("~", "yellow"), "refuse": ("!", "red")}


def plan(reference: str, nats_url: str, *, check: bool) -> int:
    """Print the plan; 1 if `check` and there is anything to do, or if any of it is refused."""
    settings, topology = _declared(reference, nats_url)
    planned = asyncio.run(_plan(settings, topology))
    _show(planned)
    return 1 if check and planned.changes else 0


def apply(reference: str, nats_url: str, *, allow_data_loss: bool) -> None:
    """Carry out the plan and print it.

    Raises:
        DriftError: a change is refused; nothing was changed then.
    """
    settings, topology = _declared(reference, nats_url)
    planned = asyncio.run(_apply(settings, topology, allow_data_loss=allow_data_loss))
    if planned.changes:
        _show(planned)
    done = f"Applied {_changes(planned)}." if planned.changes else "The broker is as declared."
    Console(highlight=False).print(Text(done, "green"))


def describe(change: Change) -> Iterator[Text]:
    """A change as lines of a diff."""
    mark, style = _MARKS[change.action]
    yield Text(f"{mark} {change.kind} {change.name}", style)
    for field in change.fields:
        yield Text(f"    {field.name}: {field.server} -> {field.declared}")
    if change.reason:
        yield Text(f"    refused: {change.reason}", "red")
        if change.loses_data:
            yield Text("    jetmesh apply --allow-data-loss does it all the same", "dim")


def _declared(reference: str, nats_url: str) -> tuple[NatsSettings, Topology]:
    project = find_project(reference)
    whole = project.load()
    return broker_of(project, whole.loaded, nats_url), whole.topology


async def _plan(settings: NatsSettings, topology: Topology) -> Plan:
    async with connected(settings) as control:
        return await provision.plan(control, topology)


async def _apply(settings: NatsSettings, topology: Topology, *, allow_data_loss: bool) -> Plan:
    async with connected(settings) as control:
        planned = await provision.plan(control, topology)
        try:
            await provision.apply(control, planned, allow_data_loss=allow_data_loss)
        except DriftError:
            _show(planned)
            raise
        return planned


def _show(planned: Plan) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if not planned.changes:
        console.print(Text("The broker is as declared.", "green"))
        return
    for change in planned.changes:
        for line in describe(change):
            console.print(line)
    refused = f", {len(planned.refused)} of them refused" if planned.refused else ""
    console.print(Text(f"{_changes(planned)}{refused}.", "bold"))


def _changes(planned: Plan) -> str:
    count = len(planned.changes)
    return f"{count} change{'' if count == 1 else 's'}"
