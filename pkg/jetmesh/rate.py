"""How often something may happen to the same: attempts from one address, mails to one person."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

_MOST_KEYS: Final = 10_000


class RateLimit:
    """At most `most` times in any `seconds`, for each key; 0: without limit.

    It is kept in the memory of this process, and of the ten thousand keys that were used last.
    """

    def __init__(
        self, most: int, seconds: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def is_reached(self, key: str) -> bool:
        """Whether once more would be too often."""
        times = self._times.get(key)
        while times and times[0] <= self._clock() - self._seconds:
            times.popleft()
        return times is not None and 0 < self._most <= len(times)

    def count(self, key: str) -> None:
        """It happened."""
        if not self._most:
            return
        times = self._times.setdefault(key, deque(maxlen=self._most))
        times.append(self._clock())
        self._times.move_to_end(key)
        if len(self._times) > _MOST_KEYS:
            self._times.popitem(last=False)

    def allows(self, key: str) -> bool:
        """Whether it may happen now; then it is counted."""
        if self.is_reached(key):
            return False
        self.count(key)
        return True
