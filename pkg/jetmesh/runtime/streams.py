"""The standard streams of a process, whatever its caller closed, filled, or cannot show."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on

OnError = Callable[[OSError], None]

OUTPUT: Final = 1
ERROR: Final = 2
_SHOWABLE: Final = "jetmesh-showable"
_PLAIN: Final = {"✓": "+", "✗": "x", "│": "|", "•": "*", "·": ".", "→": "->", "…": "..."}
"""How our own signs are written where there are none."""


def claim_descriptors() -> None:
    """Take the places of standard streams that the caller closed, or the next socket gets one.

    Each is opened the wrong way round, so that to read or write it fails as before.
    """
    for descriptor, mode in ((0, os.O_WRONLY), (OUTPUT, os.O_RDONLY), (ERROR, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            lowest = os.open(os.devnull, mode)  # every lower one is taken by now
            os.set_inheritable(lowest, True)


def ignore(_: OSError) -> None:
    """Leave out what cannot be written."""


class Writer(io.FileIO):
    """A descriptor for output; `on_error` raises, or what could not be written is left out."""

    def __init__(self, descriptor: int, on_error: OnError) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.on_error = on_error

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.on_error(error)
            return memoryview(data).nbytes


def text_stream(descriptor: int, instead_of: TextIO | None, on_error: OnError) -> io.TextIOWrapper:
    """A stream like `instead_of`, which is None if it was closed.

    What its encoding cannot show is spelled in ASCII, as Python writes it in a string.
    """
    old = instead_of
    return io.TextIOWrapper(
        io.BufferedWriter(Writer(descriptor, on_error)),
        encoding=old.encoding if old else "utf-8",
        errors=_SHOWABLE,
        newline="\n",
        line_buffering=old is None or bool(getattr(old, "line_buffering", True)),
    )


def keep_standard_error() -> None:
    """Make standard error something that can be written whatever became of it.

    A log on a full disk must end neither a handler nor change the exit code.
    """
    claim_descriptors()
    if sys.stderr is sys.__stderr__:  # nobody put another one there
        with contextlib.suppress(OSError):
            if sys.stderr is not None:
                sys.stderr.flush()
        sys.stderr = text_stream(ERROR, sys.stderr, ignore)


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    spelled = (_PLAIN.get(c) or c.encode("unicode_escape").decode() for c in text)
    return "".join(spelled), error.end


codecs.register_error(_SHOWABLE, _spell)
