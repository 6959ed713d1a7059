"""Several where several are wanted: one text would be read letter by letter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, TypeVar

from jetmesh.errors import DeclarationError

_T = TypeVar("_T")


def several(given: Iterable[_T], what: str, about: str) -> tuple[_T, ...]:
    """What was said as `what`, one by one.

    Raises:
        DeclarationError: it is one, and not several.
    """
    if is_one(given):
        raise DeclarationError(
            f"{about} has {what}={_said(given)}, which is one where several are listed.",
            remedy=f"Write {what}=({_said(given)},).",
        )
    return tuple(given)


def is_one(given: Any) -> bool:
    """Whether it is one where several are listed; a text has letters, and no members."""
    return isinstance(given, str) or not isinstance(given, Iterable)


def mapping(given: Any, what: str, example: str, about: str) -> None:
    """Refuse what was said as `what` unless it says something of each.

    Raises:
        DeclarationError: it is no mapping.
    """
    if not isinstance(given, Mapping):
        raise DeclarationError(
            f"{about} has {what}={given!r}, which is no mapping.", remedy=f"Write {what}={example}."
        )


def _said(given: Any) -> str:
    """As it is written in code."""
    if isinstance(given, Enum):
        return f"{type(given).__name__}.{given.name}"
    return repr(given) if isinstance(given, str) else getattr(given, "__name__", repr(given))
