"""Inputs of keys that have no room to remember one more, until a floor is higher.

They stay in this process. The server would bring back what was given back in another order, and
count each time that it did.
"""

from __future__ import annotations

from bisect import insort
from time import monotonic
from typing import Final

from jetmesh.protocol.steps import FULL
from jetmesh.runtime.message.states.known import Given, Line

_LONG_SECONDS: Final = 10.0
"""A key that waits so long is a problem."""
_MOST_BYTES: Final = 64 * 1024 * 1024
"""So much waits in the process at most; what is more goes back to the server for a while."""


class Room:
    """The keys of a state in whose `Line.full` something waits."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._waiting: dict[str, tuple[Line, float, str]] = {}
        """By token: since when, and for what."""
        self._bytes = 0

    @property
    def problem(self) -> str:
        """Which keys have waited for long, and for what, in words; empty when none has."""
        before = monotonic() - _LONG_SECONDS
        long = [(token, why) for token, (_, since, why) in self._waiting.items() if since < before]
        if not long:
            return ""
        token, why = long[0]
        return f"{len(long)} keys of the state {self._title} have no room; of {token}, {why}"

    def wait(self, given: Given, line: Line, why: str) -> None:
        """An input found no room, and says for what it waits."""
        _, since, _ = self._waiting.get(line.token, (line, monotonic(), ""))
        self._waiting[line.token] = line, since, why
        given.runner.wants_floor.set()
        self._keep(given, line)

    def keeps(self, given: Given, line: Line) -> bool:
        """Whether an input waits, too, because an older one does."""
        if not line.full or given.then is not None or given.delivered.on_lane:
            return False
        other = line.full[0]
        is_behind = given.runner is other.runner and given.it.sequence > other.it.sequence
        if other.then is not None or not is_behind:
            return False
        self._keep(given, line)
        return True

    def tried(self, line: Line) -> None:
        """Everything of a key was tried that may find room."""
        if line.full:
            line.full[0].runner.wants_floor.set()
        elif self._waiting:
            self._waiting.pop(line.token, None)

    def again(self) -> list[Line]:
        """The floors were looked at: the keys whose oldest inputs may try again."""
        lines = [line for line, _, _ in self._waiting.values() if line.full]
        for line in lines:
            # what is to be noted has room of its own, and none of the two may wait for the other
            several = ([g for g in line.full if (g.then is None) == new] for new in (False, True))
            notes, new = several
            again = [*notes[:FULL], *new[:FULL]]
            self._bytes -= sum(len(given.delivered.payload) for given in again)
            line.given[:0] = again
            line.full = sorted([*notes[FULL:], *new[FULL:]], key=_age)
        return lines

    def _keep(self, given: Given, line: Line) -> None:
        size = len(given.delivered.payload)
        if self._bytes + size > _MOST_BYTES:
            given.runner.postpone(given.delivered)
            return
        self._bytes += size
        insort(line.full, given, key=_age)
        if not given.waited:
            given.waited = True
            given.runner.stats.state_waits += 1
            given.runner.waits_for_room(given.delivered)


def _age(given: Given) -> int:
    return given.it.sequence
