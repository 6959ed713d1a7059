"""See where processes stand, what they wait for, and move one by hand.

Example: jetmesh process ls --step awaiting_payment --older 1h
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.text import Text

from jetmesh.cli.broker import load
from jetmesh.cli.connection import act, asked
from jetmesh.cli.console import confirm
from jetmesh.cli.console import show as show_found
from jetmesh.cli.options import AsJson, NatsUrl, System, Why, Yes, duration
from jetmesh.cli.output import echo
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.operate.audit import AuditRecord
from jetmesh.operate.humanize import span
from jetmesh.operate.processes import advance as moving
from jetmesh.operate.processes.flow import Flow, chosen
from jetmesh.operate.processes.standing import Standing, all_standing, standing_of, step_in
from jetmesh.privacy.mask import printable
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage

Key = Annotated[str, typer.Argument(help="The key, such as p-1.")]
Name = Annotated[
    str, typer.Option("--process", metavar="NAME", help="Its name, such as fulfilment.orders.")
]

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.command()
def ls(
    name: Annotated[str, typer.Argument(help="The name of one; all without it.")] = "",
    step: Annotated[str, typer.Option(help="Only those in this step.")] = "",
    older: Annotated[
        str,
        typer.Option(metavar="DURATION", help="Only those in their step for longer, such as 1h."),
    ] = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those that are stuck.")] = False,
    as_json: AsJson = False,
) -> None:
    """List processes with their steps, those that stand longest first.

    Example: jetmesh process ls --step awaiting_payment --older 1h
    """
    age = duration("--older", older) if older else 0.0
    nats, topology = load(system, nats_url)
    flows = chosen(topology, name)

    async def all_of_them(control: ControlPlane) -> list[Standing]:
        return [each for flow in flows async for each in all_standing(control, flow)]

    standing = asked(nats, all_of_them)
    steps = {step for flow in flows for step in flow.process.steps}
    if step and step not in steps | {each.step for each in standing}:
        raise UsageError(
            f"There is no step {step!r}.", remedy=f"There are {', '.join(sorted(steps))}."
        )
    before = datetime.now(UTC) - timedelta(seconds=age)
    found = [
        each
        for each in standing
        if step in ("", each.step)
        and (not older or each.since <= before)
        and (not overdue or each.problem)
    ]
    found.sort(key=lambda each: each.since)
    lines = [*map(_line, found)] or [Text("No process stands there.")]
    show_found(found, lines, as_json=as_json)


@app.command()
def show(
    key: Key,
    name: Name = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Show the processes of a key: the step, what it waits for, and the steps that remain.

    Example: jetmesh process show p-1
    """
    nats, topology = load(system, nats_url)
    flows = chosen(topology, name)

    async def of_key(control: ControlPlane) -> list[Standing]:
        several = [await standing_of(control, flow, key) for flow in flows]
        return [each for each in several if each is not None]

    found = asked(nats, of_key)
    if not found:
        raise _unknown(key)
    show_found(found, (line for each in found for line in _lines(each)), as_json=as_json)


@app.command()
def advance(
    key: Key,
    step: Annotated[str, typer.Argument(help="The step to move it to.")],
    name: Name = "",
    why: Why = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="Also where no handler would move it.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Move the process of a key to another step, which is recorded.

    No handler runs, so nothing is published and no deadline is set: it is for a process that would
    stand still. To have it go on as usual, publish the event that it waits for.

    Example: jetmesh process advance p-1 refunded --why "given back by hand"
    """
    nats, topology = load(system, nats_url)
    flows = chosen(topology, name)
    flow, message = asked(nats, lambda control: _found(control, flows, key))
    moving.check(flow, message, step, anywhere=anywhere)
    before, title = step_in(flow, message), flow.spec.title
    if not yes:
        question = f"Move {title} {printable(key)} from {before} to {step}?"
        confirm(question, done="moved", remedy="--yes moves it without a question.")

    async def move(control: ControlPlane, outcome: Counter[str]) -> None:
        stored = await moving.advance(control, flow, message, step)
        outcome[f"moved, {stored.stream}:{stored.sequence}"] += 1

    record = AuditRecord(
        act="advance",
        what=(f"{message.stream}:{message.sequence}",),
        selection=(f"process {title}", f"to {step}"),
        count=1,
        why=why,
    )
    act(nats, record, move)
    echo(f"{printable(key)} was moved from {before} to {step}; nothing was published.")


async def _found(control: ControlPlane, flows: list[Flow], key: str) -> tuple[Flow, StoredMessage]:
    looked = [(flow, await moving.found(control, flow, key)) for flow in flows]
    found = [(flow, message) for flow, message in looked if message is not None]
    if len(found) > 1:
        names = ", ".join(flow.spec.title for flow, _ in found)
        raise UsageError(f"{key!r} has several processes.", remedy=f"--process, one of {names}.")
    if not found:
        raise _unknown(key)
    return found[0]


def _unknown(key: str) -> JetmeshError:
    return JetmeshError(f"No process of {key!r} is known.", remedy="jetmesh process ls lists them.")


def _line(each: Standing) -> Text:
    stands = span(max(0.0, (datetime.now(UTC) - each.since).total_seconds()))
    text = Text(printable(f"{each.process}  {each.key}  "))
    text.append(printable(each.step), "bold")
    text.append(f"  for {stands}", "dim")
    if each.until:
        text.append(f"  until {each.until:%Y-%m-%d %H:%M:%S} UTC", "dim")
    if each.problem:
        text.append(printable(f"  {each.problem}"), "red")
    return text


def _lines(each: Standing) -> Iterator[Text]:
    yield Text.assemble((each.process, "bold"), f"  {printable(each.key)}  ", (each.place, "cyan"))
    yield Text(printable(f"  step       {each.step}, since {each.since:%Y-%m-%d %H:%M:%S} UTC"))
    if each.waits_for:
        until = f", until {each.until:%Y-%m-%d %H:%M:%S} UTC" if each.until else ""
        events = ", ".join(each.waits_for)
        yield Text(
            f"  an end     unless {events} comes" if each.ended else f"  waits for  {events}{until}"
        )
    if each.remaining:
        yield Text(f"  may come   {', '.join(each.remaining)}")
    for text in each.unexpected:
        yield Text(printable(f"  ignored    {text}"), "dim")
    if each.problem:
        yield Text(printable(f"  {each.problem}"), "red")
