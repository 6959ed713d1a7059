"""Turns of the event loop: whoever has much to do does some of it, then others have theirs.

What a connection delivers is handled while it is read, which is cheap and keeps the loop. That is
well for as long as a turn lasts; what is left then waits, and is taken up in turns of its own,
between which the loop answers, sends and hears of signals (ADR-0014).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

TURN_SECONDS: Final = 0.025
"""After so long something else is due; what runs just then is finished first."""
_REST: Final = 1 / 25
"""The part of a turn that the loop has to itself afterwards: answers take several rounds of it,
and after a long call it needs to be more than one."""

Work = Callable[[], bool]
"""Does a piece of work, one call of a handler; whether there is more."""


class Turns:
    """Shares the event loop of a process among all who have more to do than fits into a turn."""

    def __init__(self) -> None:
        self.until = 0.0
        """When this turn is over, by `perf_counter`."""
        self._works: deque[Work] = deque()
        self._is_due = False

    @property
    def is_over(self) -> bool:
        """Whether something else is due."""
        return perf_counter() > self.until

    def begin(self) -> None:
        """A turn begins: the event loop just had its own."""
        self.until = perf_counter() + TURN_SECONDS

    def take(self, work: Work) -> None:
        """Call `work` until it says that nothing is left, in turns with all others."""
        self._works.append(work)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        began = perf_counter()
        self.begin()
        try:
            while self._works and not self.is_over:
                self._do(self._works.popleft())
        finally:
            self._is_due = bool(self._works)
            if self._is_due:
                rest = (perf_counter() - began) * _REST
                asyncio.get_running_loop().call_later(rest, self._turn)

    def _do(self, work: Work) -> None:
        more = True  # also after a fault: what waits behind it still has to be done
        try:
            more = work()
        finally:
            if more:
                self._works.append(work)
