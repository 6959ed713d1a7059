"""See which events are to come later, and cancel one.

Example: jetmesh schedule ls fulfilment
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from msgspec import Struct
from rich.text import Text

from jetmesh.cli.broker import load
from jetmesh.cli.connection import act, all_of, asked
from jetmesh.cli.console import confirm, print_lines, show
from jetmesh.cli.options import AsJson, NatsUrl, System, Why, Yes
from jetmesh.cli.output import echo
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.operate.audit import AuditRecord
from jetmesh.operate.deadlines import acts
from jetmesh.operate.deadlines.waiting import Found, Waiting, event_of, found
from jetmesh.operate.humanize import counted
from jetmesh.privacy.mask import printable
from jetmesh.transport.control import ControlPlane

Key = Annotated[str, typer.Argument(help="The key of the event, such as p-1.")]

app = typer.Typer(no_args_is_help=True, help=__doc__)


class _Shown(Struct, frozen=True):
    """One that waits, with its event."""

    waiting: Waiting
    event: str


@app.command()
def ls(
    service: Annotated[str, typer.Argument(help="Only those of this service.")] = "",
    limit: Annotated[
        int, typer.Option(min=1, help="Show at most this many, the next one first.")
    ] = 100,
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only those whose alarm was lost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List deadlines that wait, by when they are due.

    Example: jetmesh schedule ls fulfilment --limit 10
    """
    nats, topology = load(system, nats_url)
    names = [each.name for each in topology.services]
    if service and service not in names:
        raise UsageError(
            f"There is no service {service!r}.", remedy=f"There are {', '.join(names)}."
        )
    several = asked(nats, lambda control: all_of(found(control, topology, service=service)))
    waiting = [each.waiting for each in several if each.waiting.overdue or not overdue]
    shown = heapq.nsmallest(limit, waiting, key=lambda each: each.due)
    lines = [*map(_line, shown)] or [Text("No deadline waits.")]
    if more := len(waiting) - len(shown):
        lines.append(Text(f"and {counted(more, 'more deadline')}", "dim"))
    show(shown, lines, as_json=as_json)


@app.command("show")
def show_key(
    key: Key, system: System = "", nats_url: NatsUrl = "", *, as_json: AsJson = False
) -> None:
    """Show what waits for a key, with the event that is to come, without what is sensitive.

    Example: jetmesh schedule show p-1
    """
    nats, topology = load(system, nats_url)

    async def of_key(control: ControlPlane) -> list[_Shown]:
        several = await all_of(found(control, topology, key=key))
        several.sort(key=lambda each: each.waiting.due)
        return [_Shown(f.waiting, await event_of(control, topology, f)) for f in several]

    shown = asked(nats, of_key)
    if not shown:
        raise _nothing(key)
    show(shown, (line for each in shown for line in _described(each)), as_json=as_json)


@app.command()
def cancel(
    key: Key,
    event: Annotated[
        str, typer.Option(metavar="SUBJECT", help="The event, such as payments.overdue.")
    ] = "",
    name: Annotated[str, typer.Option(help="Its name, where several wait.")] = "",
    why: Why = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    yes: Yes = False,
) -> None:
    """End a deadline: its event will not come. Who did it is recorded (`jetmesh audit ls`).

    Example: jetmesh schedule cancel p-1 --event payments.overdue --why "paid by cheque"
    """
    nats, topology = load(system, nats_url)
    several = asked(nats, lambda control: all_of(found(control, topology, key=key)))
    one = _chosen(several, key, event, name)
    waiting = one.waiting
    print_lines([_line(waiting)])
    if not yes:
        confirm("Cancel it?", done="cancelled", remedy="--yes cancels without a question.")

    async def end(control: ControlPlane, outcome: Counter[str]) -> None:
        await acts.cancel(control, one)
        outcome["cancelled"] += 1

    selection = (f"service {waiting.service}", waiting.event)
    what = (waiting.kept,)
    act(nats, AuditRecord(act="cancel", what=what, selection=selection, count=1, why=why), end)
    echo(f"{waiting.event} will not come.")


@app.command()
def mend(system: System = "", nats_url: NatsUrl = "") -> None:
    """Send lost alarms again: those of deadlines of states that are overdue.

    Services do so themselves for each key that they hear of. It is recorded, as `cancel` is.

    Example: jetmesh schedule mend
    """
    nats, topology = load(system, nats_url)
    several = asked(nats, lambda control: all_of(found(control, topology)))
    overdue = [each for each in several if each.waiting.overdue]
    if not overdue:
        echo("No deadline is overdue.")
        return

    async def ring(control: ControlPlane, outcome: Counter[str]) -> None:
        for each in overdue:
            await acts.wake(control, each)
            outcome["rung"] += 1

    events = tuple(dict.fromkeys(each.waiting.event for each in overdue))
    act(nats, AuditRecord(act="mend", selection=events, count=len(overdue)), ring)
    echo(f"Rang for {counted(len(overdue), 'deadline')}.")


def _chosen(several: Sequence[Found], key: str, event: str, name: str) -> Found:
    """The one that is meant.

    Raises:
        JetmeshError: there is none.
        UsageError: there are several.
    """
    left = [
        each
        for each in several
        if event in ("", each.waiting.event) and name in ("", each.waiting.name)
    ]
    if not left:
        raise _nothing(key)
    if len(left) > 1:
        told = "; ".join(f"{w.event} {w.name}".strip() for w in (each.waiting for each in left))
        raise UsageError(
            f"Several deadlines wait for {key!r}: {told}.", remedy="Name one: --event, --name."
        )
    return left[0]


def _nothing(key: str) -> JetmeshError:
    return JetmeshError(
        f"No deadline waits for {key!r}.", remedy="jetmesh schedule ls lists those that do."
    )


def _line(each: Waiting) -> Text:
    name = f" ({each.name})" if each.name else ""
    late = "  overdue, its alarm is lost" if each.overdue else ""
    return Text.assemble(
        (f"{each.due:%Y-%m-%d %H:%M:%S} UTC", "yellow" if each.overdue else ""),
        f"  {each.service}  {each.event} ",
        (printable(f"{each.key}{name}"), "bold"),
        (f"  for {each.cause}, kept in {each.kept}", "dim"),
        (late, "yellow"),
    )


def _described(shown: _Shown) -> Iterator[Text]:
    yield _line(shown.waiting)
    yield Text(f"  asked for by {shown.waiting.service}.{shown.waiting.handler}", "dim")
    if shown.event:
        yield Text(f"  {printable(shown.event)}")
