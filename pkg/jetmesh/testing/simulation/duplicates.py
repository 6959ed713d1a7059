"""The duplicate window: for a while a stream remembers which message ids it took."""

from __future__ import annotations

from collections import OrderedDict

from jetmesh.testing.simulation.clock import Clock


class DuplicateWindow:
    """Remembers ids, not messages: what was purged meanwhile is a duplicate all the same."""

    def __init__(self, clock: Clock, window: int) -> None:
        self.window = window
        """In nanoseconds."""
        self._clock = clock
        self._taken: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """By id: the sequence, and when it was stored."""

    def sequence_of(self, message_id: str) -> int:
        """The first message with this id; 0 when none came within the window."""
        oldest = self._clock.now - self.window
        while self._taken:
            _, at = next(iter(self._taken.values()))
            if at > oldest:
                break
            self._taken.popitem(last=False)
        return self._taken.get(message_id, (0, 0))[0]

    def take(self, message_id: str, sequence: int) -> None:
        self._taken[message_id] = sequence, self._clock.now
