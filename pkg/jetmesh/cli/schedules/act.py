"""`jetmesh schedule cancel` and `mend`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from jetmesh.cli.connection import connected, load
from jetmesh.cli.console import confirm, print_lines
from jetmesh.cli.output import echo, finishing
from jetmesh.cli.schedules.view import chosen, line
from jetmesh.declare import Topology
from jetmesh.operate.audit import AuditRecord, recorded
from jetmesh.operate.deadlines import acts
from jetmesh.operate.deadlines.waiting import Found, found
from jetmesh.operate.humanize import counted
from jetmesh.settings import NatsSettings


@dataclass(frozen=True, slots=True)
class Options:
    """What else was said."""

    event: str
    name: str
    why: str
    yes: bool


def cancel(key: str, options: Options, reference: str, nats_url: str) -> None:
    """Cancel the deadline of a key, once that is confirmed.

    Raises:
        UsageError: several wait and none is named, or nobody confirmed.
        JetmeshError: none waits, or it changed meanwhile.
        BrokerError: the broker refuses, or does not answer.
    """
    nats, topology = load(reference, nats_url)
    several = asyncio.run(_found(nats, topology, key))
    one = chosen(several, key, options.event, options.name)
    print_lines([line(one.waiting)])
    if not options.yes:
        confirm("Cancel it?", done="cancelled", remedy="--yes cancels without a question.")
    record = AuditRecord(
        act="cancel",
        what=(one.waiting.kept,),
        selection=(f"service {one.waiting.service}", one.waiting.event),
        count=1,
        why=options.why,
    )
    with finishing():
        asyncio.run(_cancel(nats, one, record))
    echo(f"{one.waiting.event} will not come.")


def mend(reference: str, nats_url: str) -> None:
    """Ring for what is overdue.

    Raises:
        BrokerError: the broker refuses, or does not answer.
    """
    nats, topology = load(reference, nats_url)
    overdue = [e for e in asyncio.run(_found(nats, topology, "")) if e.waiting.overdue]
    if not overdue:
        echo("No deadline is overdue.")
        return
    with finishing():
        asyncio.run(_mend(nats, overdue))
    echo(f"Rang for {counted(len(overdue), 'deadline')}.")


async def _found(nats: NatsSettings, topology: Topology, key: str) -> list[Found]:
    async with connected(nats) as control:
        return [each async for each in found(control, topology, key=key)]


async def _cancel(nats: NatsSettings, one: Found, record: AuditRecord) -> None:
    async with (
        connected(nats) as control,
        recorded(control, record, partial(echo, err=True)) as outcome,
    ):
        await acts.cancel(control, one)
        outcome["cancelled"] += 1


async def _mend(nats: NatsSettings, overdue: list[Found]) -> None:
    events = tuple(dict.fromkeys(each.waiting.event for each in overdue))
    record = AuditRecord(act="mend", selection=events, count=len(overdue))
    async with (
        connected(nats) as control,
        recorded(control, record, partial(echo, err=True)) as outcome,
    ):
        for each in overdue:
            await acts.wake(control, each)
            outcome["rung"] += 1
