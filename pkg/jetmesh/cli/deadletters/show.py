"""`jetmesh deadletters ls`, `show` and `export`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from jetmesh.cli.connecting import connected
from jetmesh.cli.deadletters.select import Choice, Place, read, reading
from jetmesh.declare import EventSpec
from jetmesh.errors import BrokerError, JetmeshError, UsageError
from jetmesh.operate.deadletters import render as screen
from jetmesh.operate.deadletters.export import lines
from jetmesh.operate.deadletters.letter import Letter, Selection, Wanted, number_of
from jetmesh.operate.deadletters.payload import Shown, content_of, shown
from jetmesh.operate.deadletters.store import Chapter, find, letters, on_lane, story
from jetmesh.transport.control import ControlPlane

_WIDE: Final = 160
"""Columns when the output is no terminal: a file is not to be wrapped at 80."""


def ls(place: Place, wanted: Wanted, *, every: bool, as_json: bool) -> None:
    """Print the faults."""
    selection = asyncio.run(_select(place, wanted, every=every))
    if as_json:
        _print_json(screen.faults_as_data(selection))
    else:
        show_lines(screen.faults(selection, every=every))


def ls_letters(place: Place, wanted: Wanted, *, every: bool, as_json: bool) -> None:
    """Print one line for each letter, as it is read."""
    asyncio.run(_ls_letters(place, wanted, every=every, as_json=as_json))


def show(place: Place, text: str, *, as_json: bool) -> None:
    """Print everything about one letter.

    Raises:
        JetmeshError: there is no such letter.
    """
    letter, chapters, payload, wait = asyncio.run(_look(place, number_of(text)))
    if as_json:
        _print_json(screen.one_as_data(chapters, letter, payload, wait))
        return
    known = place.spec_of(letter) is not None
    show_lines(screen.one(chapters, letter, payload, known=known))
    show_lines(screen.history(chapters, letter, wait))


def write_payload(place: Place, text: str) -> None:
    """Write the payload of one letter to standard output, byte for byte.

    Raises:
        JetmeshError: there is no such letter, or its payload is gone.
    """
    sys.stdout.buffer.write(asyncio.run(_payload(place, number_of(text))))
    sys.stdout.buffer.flush()


def export(place: Place, choice: Choice, output: Path | None, *, every: bool) -> None:
    """Write letters as JSON lines; a file appears whole or not at all.

    Raises:
        UsageError: the file cannot be written.
        JetmeshError: a letter that was named is not there.
    """
    if output is None:
        asyncio.run(_export(place, choice, sys.stdout.buffer, every=every))
        sys.stdout.buffer.flush()
        return
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        # what is in letters is nobody else's business
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            count = asyncio.run(_export(place, choice, file, every=every))
        beside.replace(output)
    except OSError as error:
        raise UsageError(
            f"{output} cannot be written: {error.strerror}.", remedy="Name another file."
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    typer.echo(f"Wrote {screen.counted(count, 'letter')} to {output}.")


def show_lines(several: Iterable[Text], *, err: bool = False) -> None:
    """Print lines; what is no terminal gets them unbroken."""
    console = Console(highlight=False, stderr=err)
    if not console.is_terminal:
        console = Console(highlight=False, stderr=err, width=_WIDE, soft_wrap=True)
    for line in several:
        console.print(line)


async def _select(place: Place, wanted: Wanted, *, every: bool) -> Selection:
    async with connected(place.nats) as control:
        return await read(control, wanted, every=every)


async def _ls_letters(place: Place, wanted: Wanted, *, every: bool, as_json: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    count = 0
    async with connected(place.nats) as control, aclosing(letters(control, wanted)) as found:
        async for letter, state in found:
            if state != "open" and not every:
                continue
            count += 1
            if as_json:
                data = screen.letter_as_data(letter) | {"state": state}
                sys.stdout.write(msgspec.json.encode(data).decode() + "\n")
            elif console.is_terminal:
                console.print(screen.one_line(letter, state))
            else:
                sys.stdout.write(screen.one_line(letter, state).plain + "\n")
    if not count and not as_json:
        show_lines(screen.faults(Selection(), every=every))


async def _look(place: Place, number: int) -> tuple[Letter, list[Chapter], Shown, str]:
    async with connected(place.nats) as control:
        letter = await find(control, number)
        payload = await _shown(control, letter, place.spec_of(letter))
        async with reading(control) as on_read:
            chapters = await story(control, letter, on_read=on_read)
        replayed = screen.state_of(chapters[-1].notes) == "replayed"
        return letter, chapters, payload, await on_lane(control, letter) if replayed else ""


async def _shown(control: ControlPlane, letter: Letter, spec: EventSpec | None) -> Shown:
    try:
        return shown((await content_of(control, letter)).payload, spec)
    except BrokerError:
        raise
    except JetmeshError as error:
        return Shown("lost", error.message)


async def _payload(place: Place, number: int) -> bytes:
    async with connected(place.nats) as control:
        return (await content_of(control, await find(control, number))).payload


async def _export(place: Place, choice: Choice, file: BinaryIO, *, every: bool) -> int:
    count = 0
    async with connected(place.nats) as control:
        for number in choice.numbers:
            await find(control, number)
        numbers: Sequence[int] = choice.numbers
        if not numbers:
            numbers = (await read(control, choice.wanted, every=every)).sequences
        async for line in lines(control, numbers):
            file.write(line)
            count += 1
    return count


def _print_json(data: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
