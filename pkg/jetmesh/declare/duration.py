"""Durations as people write them: `45s`, `250ms`, `2m`, `1h`, `7d`."""

from __future__ import annotations

import re
from typing import Final

from jetmesh.errors import SettingsError

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST: Final = 2**63 / 1e9  # seconds: the server counts nanoseconds in 64 bits
_text = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


class Duration(float):
    """Seconds, `Duration(45)`; printed, and written in settings, as `45s`.

    It is a float: a policy computes with it. Printed, it has the largest unit that keeps it whole.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read `45s`. A number without a unit is refused: nobody can tell what it meant.

        Raises:
            SettingsError: not a number followed by one of ms, s, m, h, d, or beyond 292 years.
        """
        match = _text.fullmatch(text.strip())
        if match is None:
            raise SettingsError(
                f"{text!r} is not a duration.",
                remedy="Write a number and a unit, such as 45s or 250ms.",
            )
        seconds = float(match[1]) * _UNITS[match[2]]
        if seconds >= _LONGEST:
            raise SettingsError(
                f"{text[:40]!r} is longer than the server can count.",
                remedy="Stay below 292 years.",
            )
        return cls(seconds)

    @property
    def ns(self) -> int:
        """Nanoseconds, the unit of NATS configurations."""
        return round(self * 1_000_000_000)

    def __str__(self) -> str:
        for unit in ("d", "h", "m", "s", "ms"):
            count, rest = divmod(self.ns, Duration(_UNITS[unit]).ns)
            if count and not rest:
                return f"{count}{unit}"
        return f"{self:.9f}".rstrip("0").rstrip(".") + "s"

    def __repr__(self) -> str:
        return f"Duration({self})"
