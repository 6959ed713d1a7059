"""Deliveries of a handler that wait in this process, and how many of them may (ADR-0014).

A `def` handler that is quick runs while its deliveries arrive. One that is slow would keep the
event loop until all that arrived is done: nobody would be acked, prolonged or answered meanwhile.
So it runs in turns, and what is prefetched is what can be finished well within `ack_wait`.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

import structlog

from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.metrics import HandlerStats
from jetmesh.transport.turns import Turns

QUICK_SECONDS: Final = 0.0001
"""Calls that take longer on average run in turns: a chunk brings hundreds of deliveries."""
BLOCKING_SECONDS: Final = 0.1
"""A call that keeps the event loop longer than this is named in the log."""
_WEIGHT: Final = 0.1
"""How much the newest call counts: one that was interrupted does not make a handler slow."""
_ANY: Final = sys.maxsize
_SHARE_OF_ACK_WAIT: Final = 6
"""What waits should be finished in this part of ack_wait."""
_NAME_AGAIN_SECONDS: Final = 60.0

log = structlog.get_logger()


class Pace:
    """How long a call of a handler keeps the event loop, as the newest ones tell."""

    def __init__(
        self, name: str, ack_wait: float, stats: HandlerStats, on_change: Callable[[], None]
    ) -> None:
        self.is_slow = False
        """It runs in turns, and every call is measured."""
        self.limit = _ANY
        """So many deliveries can be finished well within ack_wait."""
        self._seconds = 0.0
        self._name = name
        self._within = ack_wait / _SHARE_OF_ACK_WAIT
        self._stats = stats
        self._on_change = on_change
        self._named_at = -_NAME_AGAIN_SECONDS

    def took(self, seconds: float) -> None:
        """A call took so long."""
        self._seconds += (seconds - self._seconds) * _WEIGHT
        if seconds > BLOCKING_SECONDS:
            self._name_it(seconds)
        if self.is_slow:
            self._adapt()

    def keeps_the_loop(self) -> None:
        """Its calls used up a turn."""
        if not self.is_slow:
            self._adapt()

    def _adapt(self) -> None:
        """Change what depends on it, the limit when it changed by much: that costs a request."""
        before = self.is_slow, self.limit
        self.is_slow = self._seconds >= QUICK_SECONDS
        limit = max(1, int(self._within / self._seconds)) if self.is_slow else _ANY
        if not self.limit / 2 < limit < self.limit * 2:
            self.limit = limit
        if before != (self.is_slow, self.limit):
            self._on_change()

    def _name_it(self, seconds: float) -> None:
        self._stats.slow += 1
        if monotonic() - self._named_at < _NAME_AGAIN_SECONDS:
            return
        self._named_at = monotonic()
        log.warning(
            "the handler keeps the event loop",
            handler=self._name,
            seconds=round(seconds, 3),
            remedy="make it async def, or let it run in threads: on(…, threads=4)",
        )


class Backlog:
    """Deliveries that wait for their turn, or for verdicts to be taken again."""

    def __init__(
        self,
        turns: Turns,
        run: Callable[[Delivered], None],
        on_change: Callable[[], None],
    ) -> None:
        self._turns = turns
        self._run = run
        self._on_change = on_change
        """Called when the first one begins to wait, and when none does any more."""
        self._waiting: deque[Delivered] = deque()
        self._is_due = False
        self._open = asyncio.Event()
        self._open.set()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_paused(self) -> bool:
        """Nothing may run: no verdict of it would be taken."""
        return not self._open.is_set()

    def add(self, delivered: Delivered) -> None:
        """Keep a delivery until it may run."""
        self._waiting.append(delivered)
        if len(self._waiting) == 1:
            self._on_change()
        self._take_turns()

    def pause(self) -> None:
        """Run nothing until `go_on`."""
        self._open.clear()

    def go_on(self) -> None:
        """Run what waits."""
        self._open.set()
        self._take_turns()

    async def opened(self) -> None:
        """Return once something may run."""
        await self._open.wait()

    def empty(self) -> list[Delivered]:
        """Take out what waits."""
        waiting = [delivered for delivered in self._waiting if delivered.held]
        self._waiting.clear()
        return waiting

    def _take_turns(self) -> None:
        if self._waiting and not self._is_due and not self.is_paused:
            self._is_due = True
            self._turns.take(self._work)

    def _work(self) -> bool:
        if self._waiting and not self.is_paused:
            delivered = self._waiting.popleft()
            if delivered.held:  # else it was given back
                self._run(delivered)
        self._is_due = bool(self._waiting) and not self.is_paused
        if not self._waiting:
            self._on_change()
        return self._is_due
