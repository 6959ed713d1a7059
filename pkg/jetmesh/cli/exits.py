"""The exit codes of commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jetmesh.errors import JetmeshError, UsageError

FAILED: Final = 1
WRONG_USE: Final = 2
"""Called wrongly, or with a file or stream that cannot be read or written."""
FAULT: Final = 70
"""A bug, as sysexits.h numbers it."""
INTERRUPTED: Final = 130
READER_LEFT: Final = 141
"""As a shell says it of what SIGINT and SIGPIPE ended."""


@contextmanager
def answering(*, when: bool = True) -> Iterator[None]:
    """For a command whose exit code 1 is an answer, such as "differs": no failure looks like it.

    Raises:
        UsageError: whatever failed, `when` it is such a command.
    """
    try:
        yield
    except JetmeshError as error:
        if isinstance(error, UsageError) or not when:
            raise
        raise UsageError(error.message, remedy=error.remedy) from error
    except OSError as error:
        if not when:
            raise
        raise UsageError(because(error)) from error


def because(error: OSError) -> str:
    """What the system refused and why, in a sentence."""
    what = "" if error.filename is None else f"{error.filename}: "
    return f"{what}{error.strerror or error}."
