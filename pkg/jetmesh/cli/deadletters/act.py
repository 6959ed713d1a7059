"""`jetmesh deadletters replay` and `drop`."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from rich.text import Text

from jetmesh.cli.connection import connected
from jetmesh.cli.console import confirm, print_lines, read_file
from jetmesh.cli.deadletters.select import Choice, Context, selection_of
from jetmesh.cli.output import echo, finishing
from jetmesh.cli.progress import progress
from jetmesh.declare import unescape_key
from jetmesh.errors import BrokerError, JetmeshError, UsageError
from jetmesh.operate.audit import AuditRecord, recorded
from jetmesh.operate.deadletters import render
from jetmesh.operate.deadletters.bulk import Batch
from jetmesh.operate.deadletters.desk import Desk, Outcome
from jetmesh.operate.deadletters.letter import STATES, Action, Selection
from jetmesh.operate.deadletters.ramp import Step, ramp
from jetmesh.operate.humanize import counted
from jetmesh.privacy.mask import printable
from jetmesh.protocol.content import as_utf8
from jetmesh.protocol.streams import DEADLETTERS
from jetmesh.transport.control import ControlPlane

_MOST_REFUSALS: Final = 20
"""Refusals that are named one by one."""
_MOST_NAMED: Final = 3
_BARS: Final = {"replay": "Replaying", "drop": "Dropping"}

_Act: TypeAlias = Callable[[Desk, int], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Options:
    """How letters are to be replayed or dropped, and by whom."""

    by: str = ""
    why: str = ""
    rate: float = 0.0
    again: bool = False
    dry_run: bool = False
    yes: bool = False
    ramp: bool = False
    within: float = 120.0
    """Seconds that each step of a ramp has."""


def replay(context: Context, choice: Choice, options: Options, payload: Path | None) -> int:
    """Replay what was chosen; 1 if any letter could not be.

    Raises:
        UsageError: the options contradict one another, or nobody confirmed.
        JetmeshError: the one letter cannot be replayed.
        BrokerError: the broker refused one or does not answer.
    """
    if not 0 <= options.rate < float("inf"):
        raise UsageError(
            f"{options.rate} is not a rate.", remedy="Give letters a second, such as 50."
        )
    if payload and len(choice.numbers) != 1:
        raise UsageError("A payload corrects one letter.", remedy="Name it: replay 17 --payload …")
    if options.again and not choice.numbers:
        raise UsageError("Only named letters are replayed again.", remedy="Name them: replay 17 …")
    if options.ramp and choice.numbers:
        raise UsageError("A ramp is for many letters.", remedy="Choose a group, or --all.")
    corrected = as_utf8(read_file(payload, "Name a file.")) if payload else None
    act = partial(_replay_one, options=options, payload=corrected)
    return _Command(context, choice, options, "replay", act).run()


def drop(context: Context, choice: Choice, options: Options) -> int:
    """Drop what was chosen; 1 if any letter could not be.

    Raises:
        UsageError: no reason is given, or nobody confirmed.
        JetmeshError: the one letter is not open.
        BrokerError: the broker refused a note or does not answer.
    """
    if not options.why.strip():
        raise UsageError(
            "A reason is missing.", remedy='Add one, such as --why "refunded by hand".'
        )
    return _Command(context, choice, options, "drop", _drop_one).run()


class _Tally:
    """What became of many letters."""

    def __init__(self, total: int, state: str, *, dry_run: bool) -> None:
        self.counts: Counter[str] = Counter()
        self._total = total
        self._state = state
        self._verb = "would be" if dry_run else "were"
        self._refused: list[str] = []
        self.failed = False
        """A step of a ramp did not go well."""

    def add(self, outcome: Outcome) -> None:
        self.counts[outcome.result] += 1
        if outcome.result == "refused" and len(self._refused) < _MOST_REFUSALS:
            self._refused.append(outcome.text)

    def print(self) -> None:
        """Sum up, also after a failure: what was done is done."""
        done = self.counts["replayed"] + self.counts["dropped"]
        echo(f"{_letters(done, self._verb)} {self._state}.")
        if others := self.counts["others"]:
            text = f"{_letters(others, 'were')} done by others"
            echo(f"{text} at the same moment, and not sent twice.")
        if refused := self.counts["refused"]:
            more = refused - len(self._refused)
            lines = [f"{counted(refused, 'letter')} cannot be {self._state}:", *self._refused]
            lines += [f"and {more:,} more"] if more else []
            print_lines((Text(printable(line), "yellow") for line in lines), err=True)
        if left := self._total - self.counts.total():
            echo(f"Stopped; {_letters(left, 'are')} as before.")


@dataclass(frozen=True, slots=True)
class _Command:
    """One command on named letters, or on all that are selected."""

    context: Context
    choice: Choice
    options: Options
    action: Action
    act: _Act
    """What is done with a named letter."""

    def run(self) -> int:
        with finishing():
            if not self.choice.numbers:
                return self._on_selected()
            self._confirm(len(self.choice.numbers))
            return asyncio.run(self._on_named())

    async def _on_named(self) -> int:
        """Of several, one refusal does not stop the others."""
        code = 0
        async with connected(self.context.nats) as control:
            desk = self._desk(control)
            async with self._recorded(control, len(self.choice.numbers)) as counts:
                for number in self.choice.numbers:
                    try:
                        outcome = await self.act(desk, number)
                    except JetmeshError as error:
                        counts["refused"] += 1
                        if len(self.choice.numbers) == 1 or isinstance(error, BrokerError):
                            raise
                        echo(printable(str(error)), err=True)
                        code = 1
                    else:
                        counts[outcome.result] += 1
                        echo(outcome.text)
        return code

    @asynccontextmanager
    async def _recorded(self, control: ControlPlane, count: int) -> AsyncIterator[Counter[str]]:
        """What is done in the block, by its outcomes; a dry run does nothing."""
        if self.options.dry_run:
            yield Counter()
            return
        record = AuditRecord(
            act=self.action,
            what=tuple(f"{DEADLETTERS}:{number}" for number in self.choice.numbers),
            selection=() if self.choice.numbers else self.choice.selector.described,
            count=count,
            why=self.options.why,
        )
        async with recorded(control, record, partial(echo, err=True)) as counts:
            yield counts

    def _on_selected(self) -> int:
        selection = selection_of(self.context, self.choice.selector)
        if not selection:
            echo(f"There is no open letter to {self.action}.")
            return 0
        print_lines(render.summary(selection), err=True)
        self._confirm(len(selection))
        tally = _Tally(len(selection), STATES[self.action], dry_run=self.options.dry_run)
        try:
            asyncio.run(self._work_on(selection, tally))
        finally:
            tally.print()
        return 1 if tally.counts["refused"] or tally.failed else 0

    async def _work_on(self, selection: Selection, tally: _Tally) -> None:
        async with (
            connected(self.context.nats) as control,
            self._recorded(control, len(selection)) as counts,
        ):
            desk = self._desk(control)
            with progress(_BARS[self.action], len(selection)) as update:

                def on_outcome(outcome: Outcome) -> None:
                    tally.add(outcome)
                    counts[outcome.result] += 1
                    update(advance=1)

                batch = Batch(desk, self.choice.selector, on_outcome, self.options.rate)
                if self.options.dry_run:
                    await batch.dry_run(selection.sequences)
                elif self.action == "drop":
                    await batch.drop(selection.sequences)
                elif self.options.ramp:
                    tally.failed = await self._climb(batch, selection)
                else:
                    await batch.replay(selection.sequences)

    async def _climb(self, batch: Batch, selection: Selection) -> bool:
        """Replay in growing steps; whether one did not go well."""
        failed = False
        async for step in ramp(batch, selection.sequences, within=self.options.within):
            failed = not step.went_well
            echo(_told(step, self.options.within))
        return failed

    def _desk(self, control: ControlPlane) -> Desk:
        by = self.options.by or _me()
        return Desk(control, by=by, why=self.options.why, topology=self.context.topology)

    def _confirm(self, count: int) -> None:
        """Ask before more than one letter is changed."""
        if count == 1 or self.options.dry_run or self.options.yes:
            return
        letters = counted(count, "letter")
        remedy = f"--yes: {self.action} {letters} without a question."
        confirm(f"{self.action.capitalize()} {letters}?", done="done", remedy=remedy)


async def _replay_one(
    desk: Desk, number: int, *, options: Options, payload: bytes | None
) -> Outcome:
    letter = await desk.open(number, again=options.again)
    prepared = await desk.prepare(letter, corrected=payload, again=options.again)
    if payload is not None and desk.input_of(letter) is None:
        name = f"{letter.service}.{letter.handler}"
        echo(f"The payload is not checked: {name} is not declared here.", err=True)
    key = prepared.subject.rpartition(".")[2]
    if key != letter.key_token:
        before = f", the letter's was {printable(letter.key)}" if letter.key else ""
        echo(f"Its key is {printable(unescape_key(key))} now{before}.", err=True)
    return prepared.dry_run() if options.dry_run else await desk.send(prepared)


async def _drop_one(desk: Desk, number: int) -> Outcome:
    return await desk.drop(await desk.open(number))


def _told(step: Step, within: float) -> str:
    """`20 letters were replayed: 2 failed again (DEADLETTERS:31, DEADLETTERS:32).`"""
    parts = []
    if step.failed:
        more = ", …" if len(step.failed) > _MOST_NAMED else ""
        named = ", ".join(step.failed[:_MOST_NAMED])
        parts.append(f"{len(step.failed):,} failed again ({named}{more})")
    if step.waiting:
        parts.append(f"{step.waiting:,} without a verdict after {within:g} s")
    return f"{_letters(step.sent, 'were')} replayed: {', '.join(parts) or 'none failed again'}."


def _me() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _letters(count: int, verb: str) -> str:
    """`1 letter was`, `3 letters were`."""
    singular = {"were": "was", "are": "is"}.get(verb, verb)
    return f"{counted(count, 'letter')} {singular if count == 1 else verb}"
