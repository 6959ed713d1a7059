"""What commands read and print with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from jetmesh.errors import UsageError
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


def print_json(data: Any) -> None:
    """Print JSON as people and programs read it."""
    typer.echo(printable_json(msgspec.json.format(msgspec.json.encode(data), indent=2)).decode())


def read_file(path: Path, remedy: str) -> bytes:
    """The content of a file that was named.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", remedy=remedy) from error
