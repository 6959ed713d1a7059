"""Show forged messages that services wait for, and remove those that are named.

A service keeps an input when something stands where its output belongs that it cannot have stored.
Once that is removed, for ever, the input goes on. What its owner can have made is never removed.

Example: jetmesh heal

Example: jetmesh heal ORDERS:17
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.text import Text

from jetmesh.cli.broker import load
from jetmesh.cli.connection import act, asked
from jetmesh.cli.console import confirm, print_lines
from jetmesh.cli.options import NatsUrl, System, Yes
from jetmesh.cli.output import echo
from jetmesh.declare import Topology
from jetmesh.operate import heal as healing
from jetmesh.operate.asking.instances import running
from jetmesh.operate.audit import AuditRecord
from jetmesh.operate.deadletters.payload import hidden_in, render
from jetmesh.operate.heal import Suspect
from jetmesh.operate.humanize import counted, listed
from jetmesh.privacy.mask import masked, printable
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane


def heal(
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STREAM:N]", help="As /readyz and doctor name it: ORDERS:17."),
    ] = None,
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    yes: Yes = False,
) -> None:
    nats, topology = load(system, nats_url)
    found = asked(nats, lambda control: _suspects(control, nats, topology, places or ()))
    if not found:
        echo("No running service waits for a forged message to be removed.")
        return
    for each in found:
        print_lines(_lines(each, topology))
    names = tuple(each.place for each in found)
    if not places:
        echo(f"Nothing was removed. To remove them: jetmesh heal {' '.join(names)}")
        return
    if not yes:
        question = f"Remove {counted(len(found), 'message')} for ever?"
        confirm(question, done="removed", remedy="--yes removes without a question.")

    async def remove(control: ControlPlane, outcome: Counter[str]) -> None:
        for each in found:
            await healing.remove(control, each)
            echo(f"{each.place} was removed{_goes_on(each)}.")
            outcome["removed"] += 1

    act(nats, AuditRecord(act="heal", what=names, count=len(names)), remove)


async def _suspects(
    control: ControlPlane, nats: NatsSettings, topology: Topology, places: Sequence[str]
) -> list[Suspect]:
    """Those named, or all that running services wait for."""
    waiting = healing.waited_for(await running(nats, {each.name for each in topology.services}))
    found = []
    for place in places or waiting:
        try:
            found.append(await healing.suspect(control, topology, place, waiting.get(place, ())))
        except healing.Gone:  # they have not noticed yet
            if places:
                raise
    return found


def _goes_on(found: Suspect) -> str:
    return f"; {listed(found.waiting)} goes on at its next attempt" if found.waiting else ""


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
    shown = render(message.payload, healing.contracts_of(topology, message), hidden=hidden)
    rest = f", {shown.left_out:,} more not shown" if shown.left_out else ""
    yield Text(f"  payload: {shown.kind}{rest}")
    for line in shown.text.splitlines():
        yield Text(f"    {printable(line)}", "dim")
