"""What may happen next: everything on its way, in channels that keep their order.

Within a channel what was sent first arrives first, as on a connection. Between channels nothing is
promised, so whoever chooses among them chooses an interleaving; a seed does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias


class Channel(Protocol):
    """Something with a next step, from time to time."""

    name: str

    @property
    def ready(self) -> bool:
        """Whether there is a next step."""

    def step(self) -> None:
        """Make it."""


Choose: TypeAlias = Callable[[Sequence[Channel]], Channel]
"""Which of those that are ready has the next turn; `random.Random(seed).choice` is one."""


class Line:
    """A channel of what is on its way, first in first out."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: deque[Callable[[], None]] = deque()

    @property
    def ready(self) -> bool:
        return bool(self.waiting)

    def step(self) -> None:
        self.waiting.popleft()()

    def lose(self) -> bool:
        """Forget what would arrive first; False: nothing is on its way."""
        if not self.waiting:
            return False
        self.waiting.popleft()
        return True


def first(ready: Sequence[Channel]) -> Channel:
    """Always the one that was opened first."""
    return ready[0]


class Agenda:
    """All channels of a simulated network."""

    def __init__(self) -> None:
        self._channels: list[Channel] = []

    def open(self, channel: Channel) -> None:
        self._channels.append(channel)

    def close(self, channel: Channel) -> None:
        self._channels.remove(channel)

    @property
    def ready(self) -> list[Channel]:
        """Who has a next step."""
        return [channel for channel in self._channels if channel.ready]

    def turn(self, choose: Choose = first) -> bool:
        """Let one thing happen; False: nothing is on its way."""
        ready = self.ready
        if ready:
            choose(ready).step()
        return bool(ready)
