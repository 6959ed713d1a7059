"""`jetmesh process advance`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from jetmesh.cli.connection import connected, load
from jetmesh.cli.console import confirm
from jetmesh.cli.output import echo, finishing
from jetmesh.declare import Topology
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.operate.audit import AuditRecord, recorded
from jetmesh.operate.processes import advance as work
from jetmesh.operate.processes.flow import Flow, chosen
from jetmesh.operate.processes.standing import step_in
from jetmesh.privacy.mask import printable
from jetmesh.settings import NatsSettings
from jetmesh.transport.stored import StoredMessage


@dataclass(frozen=True, slots=True)
class Options:
    """What else was said."""

    name: str
    why: str
    anywhere: bool
    yes: bool


def advance(key: str, step: str, options: Options, reference: str, nats_url: str) -> None:
    """Move the process of a key to another step, once that is confirmed.

    Raises:
        UsageError: there is no such process or step, nothing leads there, or nobody confirmed.
        JetmeshError: nothing is known of the key, or it moved meanwhile.
        BrokerError: the broker refuses, or does not answer.
    """
    nats, topology = load(reference, nats_url)
    flow, message = asyncio.run(_found(nats, topology, options.name, key))
    work.check(flow, message, step, anywhere=options.anywhere)
    before = step_in(flow, message)
    if not options.yes:
        confirm(
            f"Move {flow.spec.title} {printable(key)} from {before} to {step}?",
            done="moved",
            remedy="--yes moves it without a question.",
        )
    with finishing():
        asyncio.run(_move(nats, flow, message, step, options.why))
    echo(f"{printable(key)} was moved from {before} to {step}; nothing was published.")


async def _found(
    nats: NatsSettings, topology: Topology, name: str, key: str
) -> tuple[Flow, StoredMessage]:
    flows = chosen(topology, name)
    async with connected(nats) as control:
        looked = [(flow, await work.found(control, flow, key)) for flow in flows]
    found = [(flow, message) for flow, message in looked if message is not None]
    if len(found) > 1:
        names = ", ".join(flow.spec.title for flow, _ in found)
        raise UsageError(f"{key!r} has several processes.", remedy=f"--process, one of {names}.")
    if not found:
        raise JetmeshError(
            f"No process of {key!r} is known.", remedy="jetmesh process ls lists them."
        )
    return found[0]


async def _move(
    nats: NatsSettings, flow: Flow, message: StoredMessage, step: str, why: str
) -> None:
    place = f"{message.stream}:{message.sequence}"
    selection = (f"process {flow.spec.title}", f"to {step}")
    record = AuditRecord(act="advance", what=(place,), selection=selection, count=1, why=why)
    async with (
        connected(nats) as control,
        recorded(control, record, partial(echo, err=True)) as outcome,
    ):
        stored = await work.advance(control, flow, message, step)
        outcome[f"moved, {stored.stream}:{stored.sequence}"] += 1
