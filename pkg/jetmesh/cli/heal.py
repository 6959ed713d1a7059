"""`jetmesh heal`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from rich.text import Text

from jetmesh.cli.connection import connected, load
from jetmesh.cli.console import confirm, print_lines
from jetmesh.cli.output import echo, finishing
from jetmesh.declare import Topology
from jetmesh.operate import heal
from jetmesh.operate.asking.answers import Instance
from jetmesh.operate.asking.instances import running
from jetmesh.operate.audit import AuditRecord, recorded
from jetmesh.operate.deadletters.payload import hidden_in, render
from jetmesh.operate.heal import Suspect
from jetmesh.operate.humanize import counted, listed
from jetmesh.privacy.mask import masked, printable
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane


@dataclass(frozen=True, slots=True)
class _Healing:
    """One command on one system."""

    nats: NatsSettings
    topology: Topology

    async def suspects(self, places: Sequence[str]) -> list[Suspect]:
        """Those named, or all that running services wait for."""
        async with connected(self.nats) as control:
            waiting = heal.waited_for(await self._instances())
            found = []
            for place in places or waiting:
                who = waiting.get(place, ())
                try:
                    found.append(await heal.suspect(control, self.topology, place, who))
                except heal.Gone:  # they have not noticed yet
                    if places:
                        raise
            return found

    async def remove(self, found: Sequence[Suspect]) -> None:
        places = tuple(each.place for each in found)
        record = AuditRecord(act="heal", what=places, count=len(places))
        async with (
            connected(self.nats) as control,
            recorded(control, record, partial(echo, err=True)) as outcome,
        ):
            for each in found:
                await self._remove(control, each)
                outcome["removed"] += 1

    async def _remove(self, control: ControlPlane, found: Suspect) -> None:
        await heal.remove(control, found)
        goes_on = f"; {listed(found.waiting)} goes on at its next attempt" if found.waiting else ""
        echo(f"{found.place} was removed{goes_on}.")

    async def _instances(self) -> tuple[Instance, ...]:
        return await running(self.nats, {each.name for each in self.topology.services})


def run(places: Sequence[str], reference: str, nats_url: str, *, yes: bool) -> None:
    """Show what is forged; remove what is named, once that is confirmed.

    Raises:
        UsageError: nobody confirmed.
        JetmeshError: a place holds nothing, or what its owner can have made.
        BrokerError: the broker refuses, or does not answer.
    """
    healing = _Healing(*load(reference, nats_url))
    found = asyncio.run(healing.suspects(places))
    if not found:
        echo("No running service waits for a forged message to be removed.")
        return
    for each in found:
        print_lines(_lines(each, healing.topology))
    if not places:
        named = " ".join(each.place for each in found)
        echo(f"Nothing was removed. To remove them: jetmesh heal {named}")
        return
    if not yes:
        _confirm(len(found))
    with finishing():
        asyncio.run(healing.remove(found))


def _lines(found: Suspect, topology: Topology) -> Iterator[Text]:
    message = found.message
    yield Text.assemble((found.place, "bold red"), f"  {printable(message.subject)}")
    yield Text(f"  forged: {masked(found.why)}")
    if found.waiting:
        yield Text(f"  in the way of {listed(found.waiting)}")
    yield Text(f"  stored at {message.stored_at:%Y-%m-%d %H:%M:%S} UTC")
    yield Text(f"  message id {masked(message.message_id) or '(none)'}")
    spec = topology.event(message.subject)
    hidden = hidden_in(spec, message.payload, message.headers) if spec else ()
    shown = render(message.payload, heal.contracts_of(topology, message), hidden=hidden)
    rest = f", {shown.left_out:,} more not shown" if shown.left_out else ""
    yield Text(f"  payload: {shown.kind}{rest}")
    for line in shown.text.splitlines():
        yield Text(f"    {printable(line)}", "dim")


def _confirm(count: int) -> None:
    messages = counted(count, "message")
    remedy = "--yes removes without a question."
    confirm(f"Remove {messages} for ever?", done="removed", remedy=remedy)
