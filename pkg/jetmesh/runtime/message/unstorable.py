"""Messages of which neither a retry nor a dead letter could be stored; they come again."""

from __future__ import annotations

from time import monotonic


class Unstorable:
    """One entry for each such message, until it has a verdict.

    Another replica may have got it and tells nobody here: so an entry also ends when its message
    did not come again in time.
    """

    def __init__(self) -> None:
        self.reasons: dict[bytes, tuple[float, str]] = {}
        """By the message's slot: when to forget it, and why it could not be stored."""

    @property
    def problem(self) -> str:
        """Whose letter could not be stored and why, in words; empty when there is none."""
        self._forget_old()
        if not self.reasons:
            return ""
        _, newest = next(reversed(self.reasons.values()))
        others = len(self.reasons) - 1
        return f"{newest} (and {others} more)" if others else newest

    def add(self, slot: bytes, reason: str, seconds: float) -> None:
        """Remember `reason` for so long, or until it is removed."""
        self._forget_old()
        self.reasons.pop(slot, None)
        self.reasons[slot] = (monotonic() + seconds, reason)

    def remove(self, slot: bytes) -> None:
        """The message is on its way, or has its verdict."""
        self.reasons.pop(slot, None)

    def _forget_old(self) -> None:
        """They are in the order of their time: all of one handler are remembered for as long."""
        now = monotonic()
        while self.reasons:
            oldest = next(iter(self.reasons))
            if self.reasons[oldest][0] > now:
                break
            del self.reasons[oldest]
