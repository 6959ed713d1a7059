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
    instances: int
    """How many processes can have it at once."""
    most_keys: int = 0
    """How many keys it holds at most; 0: all there are."""

    @property
    def filters(self) -> dict[str, tuple[str, ...]]:
        """What it takes of each stream."""
        found: dict[str, tuple[str, ...]] = {}
        for spec in self.events:
            found[spec.stream] = found.get(spec.stream, ()) + spec.filters
        return found

    def slots(self, service: str) -> tuple[str, ...]:
        """What the consumers are called with which processes of `service` read; on each stream."""
        numbers = range(1, self.instances + 1)
        return tuple(f"{service}-{self.type.__name__}-{number}" for number in numbers)


@dataclass(frozen=True, slots=True)
class Web:
    """Pages that a service shows: a function that returns Starlette routes."""

    function: Callable[..., Sequence[Any]]
    needs: Needs
    where: str
