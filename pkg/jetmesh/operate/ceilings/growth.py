"""What grows until the oldest of it is forgotten, and when it has grown to a limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jetmesh.operate.ceilings.load import YEAR

_FAR: Final = 1000 * YEAR
_STEPS: Final = 200
"""Halvings of a thousand years: below a microsecond."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What there is now, how much comes in a second, and for how many of them it stays."""

    now: float
    rate: float
    kept: float = 0.0
    """Seconds; 0: for ever."""

    def at(self, seconds: float) -> float:
        """How much there is then."""
        grown = self.now + self.rate * seconds
        return min(grown, max(self.now, self.rate * self.kept)) if self.kept else grown


def total(parts: Sequence[Growth], seconds: float) -> float:
    """How much all of it is then."""
    return sum(each.at(seconds) for each in parts)


def until(limit: float, parts: Sequence[Growth]) -> float:
    """Seconds until all of it is more than `limit`; infinite where it never is."""
    if total(parts, 0.0) > limit:
        return 0.0
    if total(parts, _FAR) <= limit:
        return math.inf
    before, after = 0.0, _FAR
    for _ in range(_STEPS):
        middle = (before + after) / 2
        if total(parts, middle) > limit:
            after = middle
        else:
            before = middle
    return after
