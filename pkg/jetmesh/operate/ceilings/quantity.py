"""Quantities as people write them: `2000/s`, `12M/year`, `600B`, `payments=300`."""

from __future__ import annotations

import re
from typing import Final

from jetmesh.errors import UsageError

_MULTIPLES: Final = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
_BYTES: Final = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SECONDS: Final = {
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "day": 86_400.0,
    "week": 7 * 86_400.0,
    "month": 365 * 86_400.0 / 12,
    "year": 365 * 86_400.0,
}
_rate = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<multiple>[kKMG]?)/(?P<unit>[A-Za-z]+)")
_size = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<unit>[A-Za-z]*)")


def rate(text: str, what: str) -> float:
    """`2000/s` as a number for a second.

    Raises:
        UsageError: it is no rate, or none above zero.
    """
    found = _rate.fullmatch(text)
    seconds = _SECONDS.get(found["unit"]) if found else None
    if found is None or seconds is None:
        raise UsageError(
            f"{what}: {text!r} is no rate.",
            remedy=f"Write a number and a unit of time, such as 2000/s or 12M/year; the units are "
            f"{', '.join(_SECONDS)}.",
        )
    return _above_zero(float(found["number"]) * _MULTIPLES[found["multiple"]], text, what) / seconds


def size(text: str, what: str) -> float:
    """`600B`, `2KiB` as bytes.

    Raises:
        UsageError: it is no size, or none above zero.
    """
    found = _size.fullmatch(text)
    unit = _BYTES.get(found["unit"]) if found else None
    if found is None or unit is None:
        raise UsageError(
            f"{what}: {text!r} is no size.",
            remedy="Write a number of bytes, such as 600B, 2KiB or 1MiB.",
        )
    return _above_zero(float(found["number"]) * unit, text, what)


def count(text: str, what: str) -> int:
    """A whole number.

    Raises:
        UsageError: it is none, or not above zero.
    """
    if not (text.isascii() and text.isdecimal() and int(text[:9]) > 0):
        raise UsageError(
            f"{what}: {text!r} is no number above zero.", remedy="Write a whole number, such as 3."
        )
    return int(text[:9])


def _above_zero(value: float, text: str, what: str) -> float:
    if value <= 0:
        raise UsageError(
            f"{what}: {text} is nothing.", remedy="Write what is above zero, or leave it out."
        )
    return value
