"""Durations as people write them: `45s`, `250ms`, `2m`, `1h`, `7d`."""

from __future__ import annotations

import re
from typing import Final

from jetmesh.errors import SettingsError

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_text = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


class Duration(float):
    """Seconds; printed with the largest unit that keeps it whole."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read `45s`. A number without a unit is refused: nobody can tell what it meant.

        Raises:
            SettingsError: not a number followed by one of ms, s, m, h, d.
        """
        match = _text.fullmatch(text.strip())
        if match is None:
            raise SettingsError(
                f"{text!r} is no duration.", remedy="Write a number and a unit, such as 45s or 250ms."
            )
        return cls(float(match[1]) * _UNITS[match[2]])

    @property
    def ns(self) -> int:
        """Nanoseconds, the unit of NATS configurations."""
        return round(self * 1_000_000_000)

    def __str__(self) -> str:
        for unit in ("d", "h", "m", "s", "ms"):
            count = self / _UNITS[unit]
            if self and abs(count - round(count)) < 1e-9:  # noqa: PLR2004 - below a nanosecond
                return f"{round(count)}{unit}"
        return f"{float(self):g}s"

    def __repr__(self) -> str:
        return f"Duration({self})"
