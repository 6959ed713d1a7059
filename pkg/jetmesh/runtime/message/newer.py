"""Events of a version that only newer code can read, as in the middle of a rollout (ADR-0026).

They are no failures and nobody's outage: another process may read them now, or this one after its
own rollout. So each is given back after a moment, and meanwhile little more is pulled: what is left
in the stream is there for whoever can read it.

Where order is kept, such a message is its key's next one, and comes again from the lane, like one
that failed: it holds nothing, so other keys flow, however many wait (ADR-0036).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

import structlog

from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.verdicts import Verdicts
from jetmesh.transport.reader import NewerVersion

_PAUSE_SECONDS: Final = 1.0
"""How long one is kept, more or less: to give it back at once would only bring it back at once."""
_ROUNDS: Final = 100
"""From the lane not more than so many come again in a second: each round stores a message."""
_CALM_SECONDS: Final = 5.0
"""When none came for so long after it was due again, newer code reads them."""
_MOST: Final = 16
"""So many may be in flight meanwhile, where they are held."""

log = structlog.get_logger()


class Newer:
    """Puts off what one handler cannot read yet, for a moment."""

    def __init__(self, name: str, verdicts: Verdicts, on_change: Callable[[], None]) -> None:
        self.reason = ""
        """Which version came, in words; empty when none did lately."""
        self._name = name
        self._stats = verdicts.stats
        self._give_back = verdicts.give_back
        self._on_change = on_change
        self._put_off = verdicts.put_off
        self._on_lane = 0
        """So many were put off and are not due yet."""
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
        return min(most, _MOST) if self.reason and self._put_off is None else most

    def hold(self, delivered: Delivered, newer: NewerVersion) -> None:
        """Have a delivery come again in a moment; it was no attempt."""
        begins, self.reason = not self.reason, str(newer)
        self._stats.newer += 1
        loop = asyncio.get_running_loop()
        jitter = 0.5 + random.random()  # noqa: S311 - jitter is no secret
        pause = max(_PAUSE_SECONDS, self._on_lane / _ROUNDS) * jitter
        if self._put_off is not None:
            self._on_lane += 1
            loop.call_later(pause, self._is_due)
            self._put_off(delivered, newer, pause)
        else:
            self._held.add(delivered)
            loop.call_later(pause, self._return, delivered)
        if self._calm is not None:
            self._calm.cancel()
        self._calm = loop.call_later(pause + _CALM_SECONDS, self._over)
        if begins:
            log.warning("newer version, given back", handler=self._name, reason=self.reason)
            self._on_change()

    def stop(self) -> None:
        """Give back what is held."""
        if self._calm is not None:
            self._calm.cancel()
        for delivered in list(self._held):
            self._return(delivered)

    def _is_due(self) -> None:
        self._on_lane -= 1

    def _return(self, delivered: Delivered) -> None:
        if delivered in self._held:
            self._held.discard(delivered)
            self._give_back(delivered)

    def _over(self) -> None:
        self.reason = ""
        self._calm = None
        self._on_change()
