"""Importing what a project declares: whatever its modules raise is told with their line."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path
from types import ModuleType
from typing import Final

from jetmesh.errors import DeclarationError, JetmeshError

_OURS: Final = str(Path(__file__).parents[1])


def imported(module: str) -> ModuleType:
    """`module`, imported.

    Raises:
        ModuleNotFoundError: it, or one that it imports, is not there.
        JetmeshError: it contradicts itself, or raises something else; the line is named.
    """
    try:
        return importlib.import_module(module)
    except (JetmeshError, ModuleNotFoundError):
        raise
    except Exception as error:
        why = error.msg if isinstance(error, SyntaxError) else str(error)
        raise DeclarationError(
            f"{_place(error) or module}: {module!r} cannot be imported: "
            f"{type(error).__name__}: {why.rstrip('.')}.",
            remedy="Correct this line, or what it calls.",
        ) from error


def _place(error: Exception) -> str:
    """`file:line` of the newest call that is not ours; empty when there is none."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [
        each for each in frames if not each.filename.startswith((_OURS, "<", importlib.__file__))
    ]
    return f"{theirs[-1].filename}:{theirs[-1].lineno}" if theirs else ""
