"""Which line to change: every declaration remembers where it was written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from jetmesh.errors import DeclarationError


def calling_line(depth: int = 2) -> str:
    """`file:line` of the code `depth` calls above this one."""
    frame = sys._getframe(depth)  # noqa: SLF001 - inspect.stack() reads source files: 5 ms each
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@contextmanager
def annotations_of(what: str) -> Iterator[None]:
    """Reading annotations in it refuses one that names nothing."""
    try:
        yield
    except (NameError, AttributeError) as error:
        raise DeclarationError(
            f"{what} is annotated with {error.name!r}, which is not defined there.",
            remedy="Define it above, or import it at run time, not under TYPE_CHECKING.",
        ) from error
