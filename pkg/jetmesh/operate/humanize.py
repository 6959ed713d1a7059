"""Numbers as people say them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400
_KIBI: Final = 1024
_MOST_NAMES: Final = 6


def counted(number: int, noun: str) -> str:
    """`1 message`, `12,034 messages`; `2 processes`."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def messages_wait(number: int) -> str:
    """`1 message waits`, `12,034 messages wait`."""
    return f"{counted(number, 'message')} {'waits' if number == 1 else 'wait'}"


def span(seconds: float) -> str:
    """`0.4 s`, `95 s`, `12 min`, `5 h`, `3 days`: two digits or so are enough to act on."""
    for unit, name in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"  # noqa: PLR2004 - two digits


def size(count: int) -> str:
    """`512 B`, `3.1 MiB`."""
    value = float(count)
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= _KIBI and len(units) > 1:
        value /= _KIBI
        units.pop(0)
    return f"{value:.3g} {units[0]}" if value < _KIBI else f"{value:,.0f} {units[0]}"


def listed(names: Sequence[str]) -> str:
    """`A, B and C`; of many only the first."""
    if len(names) > _MOST_NAMES:
        return f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"
    *first, last = names or [""]
    return f"{', '.join(first)} and {last}" if first else last
