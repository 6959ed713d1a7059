"""`jetmesh deadletters replay` and `drop`."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from jetmesh.cli.connecting import connected
from jetmesh.cli.deadletters.select import Choice, Place, read
from jetmesh.cli.deadletters.show import show_lines
from jetmesh.declare import unescape_key
from jetmesh.errors import BrokerError, JetmeshError, UsageError
from jetmesh.operate.deadletters import render as screen
from jetmesh.operate.deadletters.bulk import drop_all, replay_all, try_all
from jetmesh.operate.deadletters.desk import Desk, Outcome
from jetmesh.operate.deadletters.letter import Selection, Wanted
from jetmesh.operate.up.lines import printable
from jetmesh.transport.control import ControlPlane

_TOLD: Final = 20
"""Refusals that are told one by one."""
_DONE: Final = {"replay": "replayed", "drop": "dropped"}
_BARS: Final = {"replay": "Replaying", "drop": "Dropping"}

Verb = Literal["replay", "drop"]
Acting = Coroutine[Any, Any, Outcome]


@dataclass(frozen=True, slots=True)
class Manner:
    """How letters are to be replayed or dropped, and by whom."""

    by: str = ""
    why: str = ""
    rate: float = 0.0
    again: bool = False
    dry_run: bool = False
    yes: bool = False


def replay(place: Place, choice: Choice, manner: Manner, payload: Path | None) -> int:
    """Replay what was chosen; 1 if any letter could not be.

    Raises:
        UsageError: the options contradict one another, or nobody confirmed.
        JetmeshError: the one letter cannot be replayed.
        BrokerError: the broker refused one or does not answer.
    """
    if not 0 <= manner.rate < float("inf"):
        raise UsageError(f"{manner.rate} is no rate.", remedy="Give letters a second, such as 50.")
    if payload and len(choice.numbers) != 1:
        raise UsageError("A payload corrects one letter.", remedy="Name it: replay 17 --payload …")
    if manner.again and not choice.numbers:
        raise UsageError("Only named letters are replayed again.", remedy="Name them: replay 17 …")
    if choice.numbers:
        corrected = _read(payload) if payload else None
        act = partial(_replay_one, manner=manner, payload=corrected)
        return _each(place, choice, manner, "replay", act)
    return _many(place, choice, manner, "replay")


def drop(place: Place, choice: Choice, manner: Manner) -> int:
    """Drop what was chosen; 1 if any letter could not be.

    Raises:
        UsageError: no reason is given, or nobody confirmed.
        JetmeshError: the one letter is not open.
        BrokerError: the broker refused a note or does not answer.
    """
    if not manner.why.strip():
        raise UsageError("No reason is given.", remedy='Say it: --why "refunded by hand".')
    if choice.numbers:
        return _each(place, choice, manner, "drop", _drop_one)
    return _many(place, choice, manner, "drop")


class _Tally:
    """What became of many letters."""

    def __init__(self, verb: Verb, total: int, *, would: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self._done = f"would be {_DONE[verb]}" if would else f"were {_DONE[verb]}"
        self._verb = _DONE[verb]
        self._total = total
        self._refused: list[str] = []

    def add(self, outcome: Outcome) -> None:
        self.counts[outcome.result] += 1
        if outcome.result == "refused" and len(self._refused) < _TOLD:
            self._refused.append(outcome.text)

    def tell(self) -> None:
        """Sum up, also after a failure: what was done is done."""
        done = self.counts["replayed"] + self.counts["dropped"]
        typer.echo(f"{screen.counted(done, 'letter')} {_of(done, self._done)}.")
        if others := self.counts["others"]:
            text = f"{screen.counted(others, 'letter')} {_of(others, 'were')} done by others"
            typer.echo(f"{text} at the same moment, and not sent twice.")
        if refused := self.counts["refused"]:
            told = f"{screen.counted(refused, 'letter')} cannot be {self._verb}:"
            more = refused - len(self._refused)
            lines = [told, *self._refused, *([f"and {more:,} more"] if more else [])]
            show_lines((Text(printable(line), "yellow") for line in lines), err=True)
        if left := self._total - self.counts.total():
            typer.echo(f"Stopped; {screen.counted(left, 'letter')} {_of(left, 'are')} as before.")


def _each(
    place: Place, choice: Choice, manner: Manner, verb: Verb, act: Callable[[Desk, int], Acting]
) -> int:
    """Do it with every letter that was named; of several, one refusal does not stop the others."""
    numbers = choice.numbers
    if len(numbers) > 1 and not manner.dry_run:
        _confirm(verb, len(numbers), manner)
    return asyncio.run(_one_by_one(place, numbers, manner, act))


async def _one_by_one(
    place: Place, numbers: Sequence[int], manner: Manner, act: Callable[[Desk, int], Acting]
) -> int:
    code = 0
    async with connected(place.nats) as control:
        desk = _desk(place, control, manner)
        for number in numbers:
            try:
                typer.echo((await act(desk, number)).text)
            except JetmeshError as error:
                if len(numbers) == 1 or isinstance(error, BrokerError):
                    raise
                typer.echo(printable(str(error)), err=True)
                code = 1
    return code


async def _replay_one(desk: Desk, number: int, *, manner: Manner, payload: bytes | None) -> Outcome:
    letter = await desk.open(number, again=manner.again)
    ready = await desk.ready(letter, corrected=payload, again=manner.again)
    if payload is not None and desk.input_of(letter) is None:
        name = f"{letter.service}.{letter.handler}"
        typer.echo(f"The payload is not checked: {name} is not declared here.", err=True)
    key = ready.subject.rpartition(".")[2]
    if key != letter.key_token:
        before = f", the letter's was {printable(letter.key)}" if letter.key else ""
        typer.echo(f"Its key is {printable(unescape_key(key))} now{before}.", err=True)
    return ready.tried() if manner.dry_run else await desk.send(ready)


async def _drop_one(desk: Desk, number: int) -> Outcome:
    return await desk.drop(await desk.open(number))


def _many(place: Place, choice: Choice, manner: Manner, verb: Verb) -> int:
    selection = asyncio.run(_select(place, choice.wanted))
    total = len(selection)
    if not total:
        typer.echo(f"There is no open letter to {verb}.")
        return 0
    show_lines(screen.summary(selection), err=True)
    if total > 1 and not manner.dry_run:
        _confirm(verb, total, manner)
    tally = _Tally(verb, total, would=manner.dry_run)
    try:
        asyncio.run(_act(place, choice, selection, manner, verb, tally))
    finally:
        tally.tell()
    return 1 if tally.counts["refused"] else 0


async def _select(place: Place, wanted: Wanted) -> Selection:
    async with connected(place.nats) as control:
        return await read(control, wanted)


async def _act(
    place: Place, choice: Choice, selection: Selection, manner: Manner, verb: Verb, tally: _Tally
) -> None:
    numbers, wanted = selection.sequences, choice.wanted
    columns = (TextColumn(_BARS[verb]), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    hidden = not console.is_terminal
    async with connected(place.nats) as control:
        desk = _desk(place, control, manner)
        with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
            bar = progress.add_task("", total=len(numbers))

            def on_outcome(outcome: Outcome) -> None:
                tally.add(outcome)
                progress.advance(bar)

            if verb == "drop":
                await drop_all(desk, numbers, wanted, on_outcome)
            elif manner.dry_run:
                await try_all(desk, numbers, wanted, on_outcome)
            else:
                await replay_all(desk, numbers, wanted, on_outcome, rate=manner.rate)


def _desk(place: Place, control: ControlPlane, manner: Manner) -> Desk:
    return Desk(control, by=manner.by or _me(), why=manner.why, topology=place.topology)


def _me() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _confirm(verb: Verb, count: int, manner: Manner) -> None:
    if manner.yes:
        return
    letters = screen.counted(count, "letter")
    sys.stderr.write(f"{verb.capitalize()} {letters}? [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        sys.stderr.write("\n")
        raise UsageError(
            "Nobody confirmed, so nothing was done.", remedy=f"--yes: {verb} {letters} unasked."
        )
    if answer.strip().lower() not in {"y", "yes"}:
        raise JetmeshError("Nothing was done.")


def _read(payload: Path) -> bytes:
    try:
        return payload.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{payload} cannot be read: {error.strerror}.", remedy="Name a file."
        ) from error


def _of(count: int, verb: str) -> str:
    return verb.replace("were", "was").replace("are", "is") if count == 1 else verb
