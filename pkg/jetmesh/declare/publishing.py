"""What publishes events that come from outside: an order form, a sensor, a schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from dataclasses import dataclass

from msgspec import Struct


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a published event is stored."""

    stream: str
    sequence: int
    duplicate: bool
    """It was stored before under the same message id, and was not stored again."""


class Publishing(ABC):
    """What `jetmesh.Publisher` does, for whoever receives one; a test may hand in another."""

    @abstractmethod
    async def publish(self, event: Struct, *, message_id: str = "") -> Stored:
        """Store an event, and return once the server says where."""

    @abstractmethod
    def publish_nowait(self, event: Struct, *, message_id: str = "") -> Awaitable[Stored]:
        """Send an event now; the future tells where it is stored."""
