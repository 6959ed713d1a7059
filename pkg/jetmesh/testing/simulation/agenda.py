"""What may happen next: everything on its way, in channels that keep their order.

Within a channel what was sent first arrives first, as on a connection. Between channels nothing is
promised, so whoever chooses among them chooses an interleaving; a seed does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
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


def first(ready: Sequence[Channel]) -> Channel:
    """Always the one that was opened first."""
    return ready[0]


class Agenda:
    """All channels of a simulated network."""

    def __init__(self) -> None:
        self._opened = count()
        self._places: dict[Channel, int] = {}
        self._asked: list[Channel] = []
        """Those that have to be asked before each turn."""
        self._awake: set[Channel] = set()
        """Of all others those that said that they may be ready."""

    def open(self, channel: Channel, *, wakes: bool = False) -> None:
        """Have a channel take part; `wakes`: it says itself when it may be ready."""
        self._places[channel] = next(self._opened)
        if not wakes:
            self._asked.append(channel)

    def close(self, channel: Channel) -> None:
        """Ask it no more."""
        del self._places[channel]
        self._awake.discard(channel)
        if channel in self._asked:
            self._asked.remove(channel)

    def wake(self, channel: Channel) -> None:
        """A channel may be ready."""
        if channel in self._places:
            self._awake.add(channel)

    @property
    def ready(self) -> list[Channel]:
        """Who has a next step, in the order of opening."""
        self._awake = {channel for channel in self._awake if channel.ready}
        found = [*self._awake, *(channel for channel in self._asked if channel.ready)]
        found.sort(key=self._places.__getitem__)
        return found

    def turn(self, choose: Choose = first) -> bool:
        """Let one thing happen; False: nothing is on its way."""
        ready = self.ready
        if ready:
            choose(ready).step()
        return bool(ready)


class Line:
    """A channel of what is on its way, first in first out."""

    def __init__(self, name: str, agenda: Agenda) -> None:
        self.name = name
        self.waiting: deque[Callable[[], None]] = deque()
        self._agenda = agenda
        agenda.open(self, wakes=True)

    def send(self, arrives: Callable[[], None]) -> None:
        """Put something on its way; `arrives` is called when it is there."""
        self.waiting.append(arrives)
        self._agenda.wake(self)

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

    def close(self) -> None:
        """Let nothing arrive any more, whatever is sent."""
        self.waiting = deque(maxlen=0)
        self._agenda.close(self)
