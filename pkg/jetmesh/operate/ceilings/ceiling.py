"""One ceiling: the limit, where it comes from, when it is reached, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from jetmesh.operate.ceilings.load import DAY, YEAR
from jetmesh.operate.humanize import span

State = Literal["passed", "near", "far"]
NEAR: Final = 0.8
"""Of a limit: there is still time to do something."""
REACHED: Final = "it is reached already"
_MONTH: Final = YEAR / 12
_FAR: Final = 100 * YEAR


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


def state_of(value: float, limit: float) -> State:
    """How near `value` is to a limit that does not move."""
    if value > limit:
        return "passed"
    return "near" if value > NEAR * limit else "far"


def state_in(seconds: float, within: float, share: float) -> State:
    """How near a limit is that is reached in so many seconds; `share` of it is used `within`."""
    if seconds <= within:
        return "passed"
    return "near" if share > NEAR else "far"


def reached_in(seconds: float, said: str) -> str:
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
