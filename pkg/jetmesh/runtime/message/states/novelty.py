"""Whether a key that this process does not know is likely to be new: then nobody is asked first.

A step on a new key is guarded by 0, whether somebody looked before or not. So where most keys turn
out to be new, the look is saved: who guessed wrong is refused, looks, and runs the handler again.
Only what is stored counts: of a guess no failure is judged (ADR-0033).
"""

from __future__ import annotations

from typing import Final

from jetmesh.protocol.steps import Applied
from jetmesh.runtime.message.states.known import Known, Line

GUESSED: Final = Known(0, b"", None, None, Applied(), ())
"""What is known of a key of which it is guessed that nothing is stored."""
_LIKELY: Final = 0.9
_WEIGHT: Final = 1 / 32


class Novelty:
    """How many of a state's unknown keys were new, of the last ones."""

    def __init__(self) -> None:
        self._share = 0.0

    def told(self, *, is_new: bool) -> None:
        """A key turned out to be new, or not to be."""
        self._share += (is_new - self._share) * _WEIGHT

    def guess(self, line: Line) -> Known | None:
        """What may be taken for known of a key; None: it is to be looked at.

        What comes again is known to some state, and a guess that was refused is not made twice.
        """
        if self._share < _LIKELY or line.lost:
            return None
        for given in line.given:
            if given.then is not None or given.delivered.on_lane or given.delivered.noted:
                return None
        return GUESSED
