"""What a rehearsal knows of a stored message: the event, and what really came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from msgspec import Struct

from jetmesh.declare.supplied import Needs

_E = TypeVar("_E", bound=Struct)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A stored message that a rehearsal handles once more, for a double to answer from."""

    event: Struct
    """As the handler gets it."""
    outputs: Sequence[Struct]
    """What its handler really made of it; nothing for a dead letter, or for what is still new."""
    stored_at: datetime
    """When the broker stored it, in UTC."""

    def outcome(self, event: type[_E]) -> _E | None:
        """That of its outputs which is an `event`, None when there is none."""
        return next((each for each in self.outputs if isinstance(each, event)), None)


@dataclass(frozen=True, slots=True)
class Double:
    """What stands in for a resource or a read model while a service is rehearsed."""

    type: type
    """What it stands in for; parameters of this type receive it."""
    make: Callable[..., Any]
    """Called for each message; what it asks for is in `needs`."""
    needs: Needs
    where: str
