"""`jetmesh plan` and `apply`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from jetmesh.cli.ceilings import near_ceilings, seen_if_told
from jetmesh.cli.connection import connected, load
from jetmesh.cli.exits import answering
from jetmesh.declare import Duration, Topology
from jetmesh.errors import SettingsError, UsageError
from jetmesh.operate.apply import apply as apply_plan
from jetmesh.operate.apply import plan as plan_of
from jetmesh.operate.ceilings.seen import Seen
from jetmesh.operate.humanize import counted
from jetmesh.settings import NatsSettings
from jetmesh.transport.beginnings import with_beginnings
from jetmesh.transport.provision import Change, Plan

_MARKS = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "move": (">", "cyan"),
    "refuse": ("!", "red"),
}


def plan(reference: str, nats_url: str, *, check: bool) -> int:
    """Print the plan and the ceilings that are near.

    1 if one is passed, or if `check` and there is anything to do.
    """
    with answering(when=check):
        settings, topology = load(reference, nats_url)
        planned, there = asyncio.run(_plan(settings, topology))
    _show(planned)
    passed = near_ceilings(topology, there)
    return 1 if passed or (check and planned.changes) else 0


def apply(
    reference: str, nats_url: str, *, allow_data_loss: bool, wait: str, behind: Sequence[str]
) -> None:
    """Carry out the plan and print it; `wait` is a duration in which a broker may come up.

    Raises:
        UsageError: `wait` is no duration, or `behind` names no durable.
        DriftError: a change is refused; nothing was changed then.
        BrokerError: the broker refuses us, or is away for longer.
    """
    seconds = _duration(wait)
    settings, topology = load(reference, nats_url)
    carried_out = apply_plan(
        settings,
        topology,
        floors=_floors(behind, topology),
        allow_data_loss=allow_data_loss,
        wait=seconds,
        on_wait=_wait,
        on_refused=_show,
    )
    planned = asyncio.run(carried_out)
    _show(planned)
    if planned.changes:
        done = f"Applied {counted(len(planned.changes), 'change')}."
        Console(highlight=False).print(Text(done, "green"))


def describe(change: Change) -> Iterator[Text]:
    """A change as lines of a diff."""
    mark, style = _MARKS[change.action]
    yield Text(f"{mark} {change.kind} {change.name}", style)
    if change.note:
        yield Text(f"    {change.note}")
    for field in change.fields:
        yield Text(f"    {field.name}: {' -> '.join(field.texts)}")
    if change.reason and change.action != "refuse":
        yield Text(f"    {change.reason}", "yellow")
    elif change.reason:
        yield Text(f"    refused: {change.reason}", "red")
        if change.loses_data:
            yield Text("    jetmesh apply --allow-data-loss does it all the same", "dim")


async def _plan(settings: NatsSettings, topology: Topology) -> tuple[Plan, Seen | None]:
    async with connected(settings) as control:
        planned = await with_beginnings(control, topology, await plan_of(control, topology))
        return planned, await seen_if_told(control, topology)


def _duration(text: str) -> Duration:
    try:
        return Duration.parse(text)
    except SettingsError as error:
        raise UsageError(f"--wait: {error.message}", remedy=error.remedy) from None


def _floors(given: Sequence[str], topology: Topology) -> dict[str, int]:
    """`ORDERS/payments-charge=17` as what it says."""
    known = [f"{durable.stream}/{durable.name}" for durable in topology.durables]
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
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(f"Waiting: {reason}", "dim"))


def _show(planned: Plan) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if not planned.changes:
        console.print(Text("The broker is as declared.", "green"))
        return
    for change in planned.changes:
        for line in describe(change):
            console.print(line)
    refused = f", {len(planned.refused)} of them refused" if planned.refused else ""
    console.print(Text(f"{counted(len(planned.changes), 'change')}{refused}.", "bold"))
