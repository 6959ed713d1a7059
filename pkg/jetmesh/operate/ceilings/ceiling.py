"""One ceiling: the limit, what grows towards it, when it is reached, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from jetmesh.operate.ceilings.figures import Figure
from jetmesh.operate.ceilings.load import DAY, YEAR, Load, Place
from jetmesh.operate.humanize import span

State = Literal["passed", "near", "far"]
NEAR: Final = 0.8
"""Of a limit: there is still time to do something."""
REACHED: Final = "it is reached already"
_MONTH: Final = YEAR / 12
_FAR: Final = 100 * YEAR
_NEVER: Final = 1000 * YEAR
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
    if total(parts, _NEVER) <= limit:
        return math.inf
    before, after = 0.0, _NEVER
    for _ in range(_STEPS):
        middle = (before + after) / 2
        if total(parts, middle) > limit:
            after = middle
        else:
            before = middle
    return after


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One limit, compared with what is to be carried."""

    code: str
    """What scripts compare; it never changes."""
    about: str
    """`ORDERS`, `payments.charge`, `servers`."""
    state: State
    sentence: str
    """What is needed, and the limit."""
    source: str
    """Where the limit comes from."""
    reached: str
    """When, in words; empty where it never is."""
    remedy: str

    @property
    def is_now(self) -> bool:
        """Whether it is passed already, and not at some time."""
        return self.reached == REACHED


def state_of(used: float, limit: float) -> State:
    """How near a limit is."""
    if used > limit:
        return "passed"
    return "near" if used > NEAR * limit else "far"


def at_once(
    code: str, about: str, used: float, limit: Figure, sentence: str, remedy: str
) -> Ceiling:
    """A limit of what happens at one time."""
    state = state_of(used, limit.value)
    reached = REACHED if state == "passed" else f"{used / limit.value:.0%} are used"
    return Ceiling(code, about, state, sentence, limit.source, reached, remedy)


def in_time(
    code: str,
    about: str,
    parts: Sequence[Growth],
    limit: Figure,
    ahead: tuple[Load, Place],
    sentence: str,
    remedy: str,
) -> Ceiling:
    """A limit of what grows; reached within the time that the place says, it counts as passed."""
    load, place = ahead
    seconds = until(limit.value, parts)
    after = state_of(total(parts, place.within), limit.value)
    state = "passed" if seconds <= place.within else after
    reached = _reached_in(seconds, load.said)
    return Ceiling(code, about, state, sentence, limit.source, reached, remedy)


def _reached_in(seconds: float, said: str) -> str:
    """`in about 7 months at today's rate`; empty where nobody lives to see it."""
    if seconds <= 0:
        return REACHED
    return "" if seconds > _FAR else f"in about {_long(seconds)} {said}"


def _long(seconds: float) -> str:
    for unit, name in ((YEAR, "years"), (_MONTH, "months")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return span(seconds)


def per(rate: float) -> str:
    """`2,000 a second`; `24,500 a day` of what is slow."""
    return f"{rate:,.0f} a second" if rate >= 1 else f"{rate * DAY:,.0f} a day"
