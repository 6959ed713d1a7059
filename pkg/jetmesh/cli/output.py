"""Plain texts on the standard streams, and what becomes of those that cannot be written."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from jetmesh.cli import exits
from jetmesh.errors import UsageError
from jetmesh.privacy.mask import printable
from jetmesh.runtime import streams


class ReaderLeft(BaseException):
    """Nobody reads standard output any more: no error, whoever read it has seen enough."""


@dataclass(slots=True)
class _Output:
    """What a write in vain does, and what it made of the exit code."""

    failure: Literal["ends the command", "is said", "is over"] = "is over"
    code: int = 0

    def on_error(self, error: OSError) -> None:
        left = error.errno == errno.EPIPE
        if self.failure == "ends the command":
            raise ReaderLeft if left else UsageError(_refused(error))
        if self.failure == "is said" and not self.code:
            self.code = exits.READER_LEFT if left else exits.WRONG_USE
            if not left:
                complain(_refused(error))


_output = _Output()


@contextmanager
def standard_streams() -> Iterator[None]:
    """For the block no standard stream is missing, and each can show every text.

    Raises:
        ReaderLeft: whatever writes to a pipe that its reader closed.
        UsageError: whatever else writes to standard output in vain.
    """
    streams.claim_descriptors()
    kept = sys.stdin, sys.stdout, sys.stderr
    _output.failure, _output.code = "ends the command", 0
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor that stays
    if sys.stdout is sys.__stdout__:  # nobody put another one there
        sys.stdout = streams.text_stream(streams.OUTPUT, sys.stdout, _output.on_error)
    if sys.stderr is sys.__stderr__:
        sys.stderr = streams.text_stream(streams.ERROR, sys.stderr, streams.ignore)
    try:
        yield
    finally:
        _output.failure = "is over"  # what is still to be written cannot be
        sys.stdout.flush()
        sys.stdin, sys.stdout, sys.stderr = kept


@contextmanager
def finishing() -> Iterator[None]:
    """For the block the command goes on without output: what it does outside counts more.

    That it cannot be written is said at once, and is the exit code in the end.
    """
    before, _output.failure = _output.failure, "is said"
    try:
        yield
    finally:
        _output.failure = before


def echo(text: str, *, err: bool = False, end: str = "\n") -> None:
    """Print a text as it is."""
    out = sys.stderr if err else sys.stdout
    out.write(f"{text}{end}")
    out.flush()


def complain(message: str, remedy: str = "") -> None:
    """Say on standard error what went wrong, and what to do about it."""
    for text in (*message.splitlines(), remedy):
        if text:
            echo(printable(text, keep="\t"), err=True)


def settled(code: int) -> int:
    """The exit code of a command that ended with `code`."""
    return code or _output.code


def _refused(error: OSError) -> str:
    why = "it is closed" if error.errno == errno.EBADF else error.strerror
    return f"Standard output cannot be written: {why}."
