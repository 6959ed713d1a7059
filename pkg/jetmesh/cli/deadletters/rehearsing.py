"""`jetmesh deadletters replay --rehearse`: how many letters would pass now."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from jetmesh.cli.connection import asked
from jetmesh.cli.console import print_lines
from jetmesh.cli.deadletters.select import Choice, Context, selection_of
from jetmesh.cli.output import echo
from jetmesh.cli.rehearsals import head, rehearsed
from jetmesh.declare import Handler, Topology
from jetmesh.errors import UsageError
from jetmesh.operate.deadletters.bulk import Batch
from jetmesh.operate.deadletters.desk import Desk, Outcome, Replay
from jetmesh.operate.humanize import counted
from jetmesh.operate.project import Whole
from jetmesh.privacy.mask import printable
from jetmesh.protocol.lanes import origin_of
from jetmesh.runtime.rehearsing.doubles import require_doubles
from jetmesh.runtime.rehearsing.states import Remembered, remembered
from jetmesh.runtime.rehearsing.stored import Known
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage


def rehearse(context: Context, choice: Choice) -> int:
    """Say how many letters would pass with the code that is here; 1 if any would not.

    Raises:
        UsageError: there is no code here, or something that a handler needs has no double.
        BrokerError: the broker does not answer.
    """
    whole = context.whole
    if whole is None:
        raise UsageError(
            "Without a project there is no code that could pass letters.",
            remedy="Run it below the pyproject.toml of the service's project.",
        )
    numbers: Sequence[int] = choice.numbers
    if not numbers:
        numbers = selection_of(context, choice.selector).sequences
    found = asked(context.nats, lambda control: _prepared(control, context, choice, numbers))
    passing = sum(_rehearse(context, whole, *each) for each in _by_handler(whole, found))
    echo(f"{passing:,} of {counted(len(numbers), 'letter')} would pass now.")
    return 0 if passing == len(numbers) else 1


async def _prepared(
    control: ControlPlane, context: Context, choice: Choice, numbers: Sequence[int]
) -> list[Replay]:
    desk = Desk(control, by="", topology=context.topology)
    batch = Batch(desk, choice.selector, _refused)
    return [replay async for several in batch.prepared(numbers) for replay in several]


def _refused(outcome: Outcome) -> None:
    echo(printable(outcome.text), err=True)


def _by_handler(whole: Whole, found: Sequence[Replay]) -> list[tuple[Handler, list[Replay]]]:
    """The letters of each handler that is declared here."""
    grouped: dict[tuple[str, str], list[Replay]] = {}
    for replay in found:
        letter = replay.letter
        grouped.setdefault((letter.service, letter.handler), []).append(replay)
    handlers = {(each.service, each.name): each for each in whole.topology.handlers}
    for name in sorted(grouped.keys() - handlers.keys()):
        count = counted(len(grouped[name]), "letter")
        echo(f"{count} of {'.'.join(name)}, which is not declared here, cannot pass.", err=True)
    return [(handlers[name], several) for name, several in grouped.items() if name in handlers]


def _rehearse(context: Context, whole: Whole, handler: Handler, replays: Sequence[Replay]) -> int:
    """Print what would become of one handler's letters; how many would pass."""
    service = next(each for each in whole.services if each.name == handler.service)
    require_doubles(service, [handler])
    messages = [_known(each) for each in replays]
    now = asked(context.nats, lambda control: _today(control, whole.topology, handler, messages))
    report = rehearsed(whole, handler, messages, now)
    again = [group for group in report.groups if group.verdict != "passes"]
    passing = report.rehearsed - report.same - sum(group.count for group in again)
    parts = [f"{passing:,} would pass now"]
    parts += [f"{report.same:,} would fail again as they did"] if report.same else []
    parts += [head(group) for group in again]
    print_lines([Text(printable(f"{report.handler}: {', '.join(parts)}."))])
    return passing


async def _today(
    control: ControlPlane, topology: Topology, handler: Handler, messages: Sequence[Known]
) -> Remembered | None:
    """What a handler that remembers knows of these letters' keys: a replay meets today's state."""
    found = await remembered(control, topology, handler, [each.message for each in messages])
    if found is not None:
        found.why_not, found.earlier = "a replay meets the state of today", []
    return found


def _known(replay: Replay) -> Known:
    """The message of a letter, as its handler would get it."""
    origin = origin_of(replay.headers)
    message = StoredMessage(
        origin.stream,
        int(origin.sequence),
        origin.subject,
        replay.headers,
        replay.payload,
        origin.stored,
    )
    return Known(message, fate="letter", error=replay.letter.error)
