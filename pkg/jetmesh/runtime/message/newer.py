"""Events of a version that only newer code can read, as in the middle of a rollout (ADR-0026).

They are no failures and nobody's outage: another process may read them now, or this one after its
own rollout. So each is given back after a moment, and meanwhile little more is pulled: what is left
in the stream is there for whoever can read it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

import structlog

from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.metrics import HandlerStats
from jetmesh.transport.reader import NewerVersion

_PAUSE_SECONDS: Final = 1.0
"""How long one is kept, more or less: to give it back at once would only bring it back at once."""
_CALM_SECONDS: Final = 5.0
"""When none came for so long, newer code reads them."""
_MOST: Final = 16
"""So many may be in flight meanwhile."""

log = structlog.get_logger()


class Newer:
    """Holds what one handler cannot read yet, for a moment."""

    def __init__(
        self,
        name: str,
        stats: HandlerStats,
        give_back: Callable[[Delivered], None],
        on_change: Callable[[], None],
    ) -> None:
        self.reason = ""
        """Which version came, in words; empty when none did lately."""
        self._name = name
        self._stats = stats
        self._give_back = give_back
        self._on_change = on_change
        self._held: set[Delivered] = set()
        self._calm: asyncio.TimerHandle | None = None

    @property
    def problem(self) -> str:
        """Why messages wait, in words; empty when none does."""
        if not self.reason:
            return ""
        return f"{self._name} gives messages back: {self.reason}; deploy what knows it"

    def limit(self, most: int) -> int:
        """How much may be in flight, where `most` may at other times."""
        return min(most, _MOST) if self.reason else most

    def hold(self, delivered: Delivered, newer: NewerVersion) -> None:
        """Give a delivery back in a moment; it was no attempt."""
        begins, self.reason = not self.reason, str(newer)
        self._stats.newer += 1
        self._held.add(delivered)
        loop = asyncio.get_running_loop()
        pause = _PAUSE_SECONDS * (0.5 + random.random())  # noqa: S311 - jitter is no secret
        loop.call_later(pause, self._return, delivered)
        if self._calm is not None:
            self._calm.cancel()
        self._calm = loop.call_later(_CALM_SECONDS, self._over)
        if begins:
            log.warning("newer version, given back", handler=self._name, reason=self.reason)
            self._on_change()

    def stop(self) -> None:
        """Give back what is held."""
        if self._calm is not None:
            self._calm.cancel()
        for delivered in list(self._held):
            self._return(delivered)

    def _return(self, delivered: Delivered) -> None:
        if delivered in self._held:
            self._held.discard(delivered)
            self._give_back(delivered)

    def _over(self) -> None:
        self.reason = ""
        self._calm = None
        self._on_change()
