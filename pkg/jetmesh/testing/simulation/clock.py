"""A clock that only its owner moves, and what happens at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol

from jetmesh.protocol.times import nanoseconds_of, time_at

SECOND: Final = 1_000_000_000
NOON: Final = nanoseconds_of("2026-01-01T12:00:00Z")


class Timed(Protocol):
    """Something that happens at a time."""

    def due(self) -> int | None:
        """When, in nanoseconds since 1970; None while it waits for nothing."""

    def ring(self) -> None:
        """The time has come; afterwards it is due later, or not at all."""


class Clock:
    """The time of everything that is simulated; nothing here knows the real one."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now
        """Nanoseconds since 1970."""
        self._timed: list[Timed] = []

    def time(self) -> datetime:
        """The same in UTC, to the microsecond below."""
        return time_at(self.now)

    def watch(self, timed: Timed) -> None:
        """Have `timed` ring at its times; of two at one time the first one that was watched."""
        self._timed.append(timed)

    def forget(self, timed: Timed) -> None:
        """Let it ring no more."""
        self._timed.remove(timed)

    def next_due(self) -> int | None:
        """When something happens next."""
        return min((at for each in self._timed if (at := each.due()) is not None), default=None)

    def ring_until(self, end: int) -> bool:
        """Move to what is due next, and let it happen; False: nothing is until `end`."""
        at = self.next_due()
        if at is None or at > end:
            self.now = max(self.now, end)
            return False
        self.now = max(self.now, at)
        for each in list(self._timed):
            if (due := each.due()) is not None and due <= self.now:
                each.ring()
        return True
