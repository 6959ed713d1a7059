"""What commands read and print with."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.text import Text

from jetmesh.cli.output import echo
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.privacy.mask import printable_json

_WIDE: Final = 160
"""Columns when the output is no terminal: a file is not to be wrapped at 80."""


def console(*, err: bool = False) -> Console:
    """A console on standard output, or on standard error."""
    found = Console(highlight=False, stderr=err)
    return found if found.is_terminal else Console(highlight=False, stderr=err, width=_WIDE)


def print_lines(lines: Iterable[Text], *, err: bool = False) -> None:
    """Print lines, each unbroken where the output is no terminal."""
    out = console(err=err)
    for line in lines:
        out.print(line, soft_wrap=not out.is_terminal)


def print_json(data: Any, *, in_a_line: bool = False) -> None:
    """Print JSON as people and programs read it, or in a line of its own."""
    text = msgspec.json.encode(data)
    text = printable_json(text if in_a_line else msgspec.json.format(text, indent=2))
    write(text + b"\n")


def show(data: Any, lines: Iterable[Text], *, as_json: bool) -> None:
    """Print what was found, for a program or for a person."""
    if as_json:
        print_json(data)
    else:
        print_lines(lines)


def write(data: bytes) -> None:
    """Write bytes as they are: JSON is UTF-8 whatever a terminal shows."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def read_input() -> bytes:
    """All of standard input.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise _unreadable("Standard input", error, "Name a file instead of -.") from error


def read_answer(question: str) -> str:
    """What is answered to a question on standard error; empty when nobody answers."""
    echo(question, err=True, end="")
    try:
        answer = sys.stdin.buffer.readline().decode(errors="replace")
    except OSError:
        answer = ""
    if not answer:
        echo("", err=True)
    return answer


def confirm(question: str, *, done: str, remedy: str) -> None:
    """Return once a person says yes; `done` is what would be.

    Raises:
        UsageError: nobody answers, as where the input is no terminal.
        JetmeshError: the answer is no.
    """
    answer = read_answer(f"{question} [y/N] ")
    if not answer:
        raise UsageError(f"Nobody confirmed, so nothing was {done}.", remedy=remedy)
    if answer.strip().lower() not in {"y", "yes"}:
        raise JetmeshError(f"Nothing was {done}.")


def read_file(path: Path, remedy: str) -> bytes:
    """The content of a file that was named.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(str(path), error, remedy) from error


def _unreadable(what: str, error: OSError, remedy: str) -> UsageError:
    why = "it is closed" if error.errno == errno.EBADF else error.strerror
    return UsageError(f"{what} cannot be read: {why}.", remedy=remedy)
