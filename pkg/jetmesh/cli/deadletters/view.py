"""`jetmesh deadletters ls`, `show` and `export`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

from rich.console import Console

from jetmesh.cli.connection import asked, connected
from jetmesh.cli.console import print_json, print_lines, write
from jetmesh.cli.console import show as show_found
from jetmesh.cli.deadletters.select import Choice, Context, read, reading, selection_of
from jetmesh.cli.output import echo
from jetmesh.errors import UsageError
from jetmesh.operate.deadletters import render
from jetmesh.operate.deadletters.export import lines
from jetmesh.operate.deadletters.letter import Letter, LetterError, Selection, Selector, number_of
from jetmesh.operate.deadletters.payload import PayloadView, content_of, hidden_in
from jetmesh.operate.deadletters.payload import render as render_payload
from jetmesh.operate.deadletters.store import HistoryEntry, find, history, lane_status, letters
from jetmesh.operate.humanize import counted
from jetmesh.operate.order import behind
from jetmesh.transport.control import ControlPlane


def ls(context: Context, selector: Selector, *, every: bool, as_json: bool) -> None:
    """Print the faults."""
    found = selection_of(context, selector, every=every)
    show_found(render.faults_as_data(found), render.faults(found, every=every), as_json=as_json)


def ls_letters(context: Context, selector: Selector, *, every: bool, as_json: bool) -> None:
    """Print one line for each letter, as it is read."""
    asyncio.run(_ls_letters(context, selector, every=every, as_json=as_json))


def show(context: Context, text: str, *, as_json: bool) -> None:
    """Print everything about one letter.

    Raises:
        JetmeshError: there is no such letter.
    """
    number = number_of(text)
    letter, entries, payload, wait = asked(
        context.nats, lambda control: _load(control, context, number)
    )
    contracts = context.contracts_for(letter)
    data = render.details_as_data(entries, letter, payload, wait, contracts)
    lines = [
        *render.details(entries, letter, payload, contracts),
        *render.history(entries, letter, wait),
    ]
    show_found(data, lines, as_json=as_json)


def write_payload(context: Context, text: str) -> None:
    """Write the payload of one letter to standard output, byte for byte.

    Raises:
        JetmeshError: there is no such letter, or its payload is gone.
    """

    async def payload(control: ControlPlane) -> bytes:
        return (await content_of(control, await find(control, number_of(text)))).payload

    write(asked(context.nats, payload))


def export(context: Context, choice: Choice, output: Path | None, *, every: bool) -> None:
    """Write letters as JSON lines; a file appears whole or not at all.

    Raises:
        UsageError: the file cannot be written.
        JetmeshError: a letter that was named is not there.
    """
    if output is None:
        asyncio.run(_export(context, choice, sys.stdout.buffer, every=every))
        sys.stdout.buffer.flush()
        return
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        # what is in letters is nobody else's business
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            count = asyncio.run(_export(context, choice, file, every=every))
        beside.replace(output)
    except OSError as error:
        raise UsageError(
            f"{output} cannot be written: {error.strerror}.", remedy="Name another file."
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    echo(f"Wrote {counted(count, 'letter')} to {output}.")


async def _ls_letters(context: Context, selector: Selector, *, every: bool, as_json: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    count = 0
    async with connected(context.nats) as control, aclosing(letters(control, selector)) as found:
        async for letter, state in found:
            if state != "open" and not every:
                continue
            count += 1
            if as_json:
                print_json(render.letter_as_data(letter) | {"state": state}, in_a_line=True)
            elif console.is_terminal:
                console.print(render.one_line(letter, state))
            else:
                echo(render.one_line(letter, state).plain)
    if not count and not as_json:
        print_lines(render.faults(Selection(), every=every))


async def _load(
    control: ControlPlane, context: Context, number: int
) -> tuple[Letter, list[HistoryEntry], PayloadView, str]:
    letter = await find(control, number)
    payload = await _rendered(control, letter, context)
    async with reading(control) as on_read:
        entries = await history(control, letter, on_read=on_read)
    state = render.state_of(entries[-1].notes)
    wait = await lane_status(control, letter) if state == "replayed" else ""
    if state == "open" and (waiting := await behind(control, entries[-1].letter)):
        wait = f"nothing was done about it yet: {waiting}"
    return letter, entries, payload, wait


async def _rendered(control: ControlPlane, letter: Letter, context: Context) -> PayloadView:
    try:
        content = await content_of(control, letter)
        contracts, spec = context.contracts_for(letter), context.event_of(letter)
        about = {**letter.message.headers, **content.headers}
        hidden = hidden_in(spec, content.payload, about) if spec else ()
        return render_payload(content.payload, contracts, hidden=hidden)
    except LetterError as error:
        return PayloadView("lost", error.message)


async def _export(context: Context, choice: Choice, file: BinaryIO, *, every: bool) -> int:
    count = 0
    async with connected(context.nats) as control:
        for number in choice.numbers:
            await find(control, number)
        numbers: Sequence[int] = choice.numbers
        if not numbers:
            numbers = (await read(control, choice.selector, every=every)).sequences
        async for line in lines(control, numbers):
            file.write(line)
            count += 1
    return count
