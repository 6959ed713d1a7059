"""What a handler may not return."""

from __future__ import annotations

import inspect
from typing import Any


class UndeclaredOutput(TypeError):  # noqa: N818 - it ends in a dead letter under this name
    """A handler returned something that its annotation does not name."""


class ConflictingOutputs(ValueError):  # noqa: N818 - as above
    """A handler returned two events of which the server would keep only one, without a word."""


def described(value: Any) -> str:
    """What was returned, in words."""
    if inspect.iscoroutine(value):
        value.close()  # else Python warns, much later, that nobody awaited it
        return "a coroutine; declare it with async def"
    return f"{type(value).__name__}, which its annotation does not name"
