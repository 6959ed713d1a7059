"""Messages of which something cannot be stored: a letter, a retry, an output; they come again."""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple


class Entry(NamedTuple):
    """Why one message waits."""

    until: float
    """When to forget it."""
    reason: str
    place: str = ""
    """`ORDERS:17`: the forged message that stands in the way, if one does."""
    rounds: int = 1
    """How often it came already."""


class Unstorable:
    """One entry for each such message, until it has a verdict.

    Another replica may have got it and tells nobody here: so an entry also ends when its message
    did not come again in time.
    """

    def __init__(self) -> None:
        self.reasons: dict[bytes, Entry] = {}
        """By the message's slot."""

    @property
    def problem(self) -> str:
        """Whose message could not be stored and why, in words; empty when there is none."""
        self._forget_old()
        if not self.reasons:
            return ""
        newest = next(reversed(self.reasons.values())).reason
        others = len(self.reasons) - 1
        return f"{newest} (and {others} more)" if others else newest

    @property
    def forged(self) -> list[str]:
        """Where forged messages stand that others wait for, the newest last."""
        self._forget_old()
        return [*dict.fromkeys(each.place for each in self.reasons.values() if each.place)]

    def rounds(self, slot: bytes) -> int:
        """How often a message was added already, and is not forgotten."""
        entry = self.reasons.get(slot)
        return entry.rounds if entry else 0

    def add(
        self, slot: bytes, reason: str, seconds: float, *, place: str = "", rounds: int = 1
    ) -> None:
        """Remember `reason` for so long, or until it is removed."""
        self._forget_old()
        self.reasons.pop(slot, None)
        self.reasons[slot] = Entry(monotonic() + seconds, reason, place, rounds)

    def remove(self, slot: bytes) -> None:
        """The message is on its way, or has its verdict."""
        self.reasons.pop(slot, None)

    def _forget_old(self) -> None:
        now = monotonic()
        for slot in [slot for slot, each in self.reasons.items() if each.until <= now]:
            del self.reasons[slot]
