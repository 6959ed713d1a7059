"""What a service has beside its handlers: resources, read models, pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from jetmesh.declare.event import EventSpec

Needs: TypeAlias = dict[str, type]
"""Parameters that are supplied by their type."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Something a service opens at start and closes at its end: a client, a pool."""

    type: type
    """What it yields; parameters of this type receive it."""
    open: Callable[..., AsyncIterator[Any]]
    needs: Needs
    where: str


@dataclass(frozen=True, slots=True)
class ReadModel:
    """State folded from events; its type has `apply(event, record)`, and may have `forget`."""

    type: type
    """Made without arguments; parameters of this type receive the instance."""
    events: tuple[EventSpec, ...]
    """What it folds; each stream is read from its first stored event on at every start."""
    where: str
    most_keys: int = 0
    """How many keys it holds at most; 0: all there are."""


@dataclass(frozen=True, slots=True)
class Web:
    """Pages that a service shows: a function that returns Starlette routes."""

    function: Callable[..., Sequence[Any]]
    needs: Needs
    where: str
