"""What a service has beside its handlers: resources, read models, pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from jetmesh.declare.event import EventSpec
from jetmesh.errors import DeclarationError

_MOST_INSTANCES: Final = 100
"""Of a read model: a consumer on each stream for each."""

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
    reads: tuple[str, ...] = ()
    """The fields of its events that it looks at; empty: all."""

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

    def check(self) -> None:
        """Raises DeclarationError: its type is no read model, or not with these bounds."""
        if not callable(getattr(self.type, "apply", None)):
            raise self._refusal(
                "has no method apply", "Give it a method apply(self, event, record)."
            )
        if hasattr(self.type, "forget") and not callable(self.type.forget):
            remedy = "Write def forget(self, key, record), or call it something else."
            raise self._refusal("has a forget that is no method", remedy)
        if not 1 <= self.instances <= _MOST_INSTANCES:
            remedy = f"Choose from 1 to {_MOST_INSTANCES}."
            raise self._refusal(f"cannot have {self.instances} instances", remedy)
        if self.most_keys:
            keyless = [spec.name for spec in self.events if not spec.key]
            if keyless or not callable(getattr(self.type, "drop", None)):
                why = f"{keyless[0]} has no key" if keyless else "it has no method drop"
                remedy = "Give it drop(self, key) and events with a key, or no most_keys."
                raise self._refusal(f"cannot be bounded: {why}", remedy)

    def _refusal(self, what: str, remedy: str) -> DeclarationError:
        return DeclarationError(
            f"{self.where}: read model {self.type.__name__} {what}.", remedy=remedy
        )


@dataclass(frozen=True, slots=True)
class Web:
    """Pages that a service shows: a function that returns Starlette routes."""

    function: Callable[..., Sequence[Any]]
    needs: Needs
    where: str
