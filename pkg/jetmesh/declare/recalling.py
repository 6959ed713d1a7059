"""What reads a stored event again: a read model holds where it is, and not what it says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

from msgspec import Struct

from jetmesh.declare.delivery import Record

Recalled: TypeAlias = tuple[Struct, Record]
"""An event, and where and when it is stored: what `apply` of a read model got."""


class History(ABC):
    """The events of a service's read models, one by one; a test may hand in another."""

    @abstractmethod
    async def at(self, stream: str, sequence: int) -> Recalled | None:
        """The event that is stored there; None if it is gone, or cannot be read.

        Raises:
            BrokerError: the broker does not answer, or refuses.
        """

    @abstractmethod
    async def first(self, event: type[Struct], key: str) -> Recalled | None:
        """The first event of that type about `key`, of those that were published with their key.

        Raises:
            BrokerError: as above.
        """
