"""One step from a version of an event to the next, as a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Upcaster:
    """What `@upcasts` declares."""

    function: Callable[[dict[str, Any]], dict[str, Any]]
    where: str

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "?")
