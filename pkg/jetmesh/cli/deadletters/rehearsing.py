"""`jetmesh deadletters replay --rehearse`: how many letters would pass now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from jetmesh.cli.connection import connected
from jetmesh.cli.console import print_lines
from jetmesh.cli.deadletters.select import Choice, Context, selection_of
from jetmesh.cli.output import echo
from jetmesh.cli.rehearsed import head, progress, quiet
from jetmesh.declare import Handler, Topology
from jetmesh.errors import UsageError
from jetmesh.operate.deadletters.bulk import Batch
from jetmesh.operate.deadletters.desk import Desk, Outcome, Replay
from jetmesh.operate.humanize import counted
from jetmesh.operate.project import Whole
from jetmesh.privacy.mask import printable
from jetmesh.protocol.lanes import origin_of
from jetmesh.runtime.rehearsing.cut import sealed
from jetmesh.runtime.rehearsing.doubles import require_doubles
from jetmesh.runtime.rehearsing.rehearsal import Rehearsal
from jetmesh.runtime.rehearsing.states import Remembered, remembered
from jetmesh.runtime.rehearsing.stored import Known
from jetmesh.transport.stored import StoredMessage


def rehearse(context: Context, choice: Choice, payload: Path | None) -> int:
    """Say how many letters would pass with the code that is here; 1 if any would not.

    Raises:
        UsageError: there is no code here, or something that a handler needs has no double.
        BrokerError: the broker does not answer.
    """
    if payload is not None:
        raise UsageError(
            "Letters are rehearsed with the payload that they have.", remedy="Omit --payload."
        )
    if context.whole is None:
        raise UsageError(
            "Without a project there is no code that could pass letters.",
            remedy="Run it below the pyproject.toml of the service's project.",
        )
    sequences: Sequence[int] = choice.numbers
    if not sequences:
        sequences = asyncio.run(selection_of(context, choice.selector)).sequences
    found = asyncio.run(_prepared(context, choice, sequences))
    would_pass = 0
    for handler, replays in _by_handler(context.whole, found):
        stored = asyncio.run(_remembered(context, context.whole.topology, handler, replays))
        would_pass += _rehearse(context.whole, handler, replays, stored)
    echo(f"{would_pass:,} of {counted(len(sequences), 'letter')} would pass now.")
    return 0 if would_pass == len(sequences) else 1


async def _prepared(context: Context, choice: Choice, sequences: Sequence[int]) -> list[Replay]:
    async with connected(context.nats) as control:
        desk = Desk(control, by="", topology=context.topology)
        batch = Batch(desk, choice.selector, _refused)
        return [replay async for several in batch.prepared(sequences) for replay in several]


async def _remembered(
    context: Context, topology: Topology, handler: Handler, replays: Sequence[Replay]
) -> Remembered | None:
    """What handlers that remember know of these letters' keys: a replay meets today's state."""
    async with connected(context.nats) as control:
        messages = [_known(each).message for each in replays]
        found = await remembered(control, topology, handler, messages)
    if found is not None:
        found.why_not, found.earlier = "a replay meets the state of today", []
    return found


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


def _rehearse(
    whole: Whole, handler: Handler, replays: Sequence[Replay], stored: Remembered | None
) -> int:
    """Print what would become of one handler's letters; how many would pass."""
    service = next(each for each in whole.services if each.name == handler.service)
    require_doubles(service, [handler])
    settings = whole.loaded.of(service)
    with sealed(), quiet(), progress(f"Rehearsing {handler.name}", len(replays)) as on_played:
        rehearsal = Rehearsal(service, settings, whole.topology, on_played)
        several = [_known(each) for each in replays]
        report = asyncio.run(rehearsal.compare(handler, several, found=stored))
    again = [group for group in report.groups if group.verdict != "passes"]
    passing = report.rehearsed - report.same - sum(group.count for group in again)
    parts = [f"{passing:,} would pass now"]
    parts += [f"{report.same:,} would fail again as they did"] if report.same else []
    parts += [head(group) for group in again]
    print_lines([Text(printable(f"{report.handler}: {', '.join(parts)}."))])
    return passing


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
