"""Times to the nanosecond, as the server stores them; Python's own end at the microsecond."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_DIGITS: Final = 9
_A_SECOND: Final = 10**_DIGITS
_NO_MORE: Final = 253_402_300_800 * _A_SECOND
"""The year 10000, in which Python's time has ended."""
_ROUNDED: Final = 1_000
_fraction = re.compile(r"[.,]([0-9]+)")


def nanoseconds_of(text: str) -> int:
    """Nanoseconds since 1970 of a time in ISO 8601; without an offset it is meant as UTC.

    Raises:
        ValueError: it is no time, or not one between 1970 and the year 10000.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    fraction = _fraction.search(text)
    digits = fraction[1][:_DIGITS].ljust(_DIGITS, "0") if fraction else "0"
    whole = (found.replace(microsecond=0) - _EPOCH) // _SECOND
    nanoseconds = whole * _A_SECOND + int(digits)
    if not 0 <= nanoseconds < _NO_MORE:
        raise ValueError(f"{text!r} is not between 1970 and the year 10000")
    return nanoseconds


def time_at(nanoseconds: int) -> datetime:
    """The time so long after 1970, in UTC, to the microsecond below."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1_000)


def time_text(nanoseconds: int) -> str:
    """What `nanoseconds_of` reads, with nine digits of the second."""
    whole, rest = divmod(nanoseconds, _A_SECOND)
    return f"{time_at(whole * _A_SECOND):%Y-%m-%dT%H:%M:%S}.{rest:0{_DIGITS}}+00:00"


def is_same_time(one: int, other: int) -> bool:
    """Whether one message may have been stored at both times, in nanoseconds.

    0 is unknown, as in old message ids; old headers rounded to the microsecond. No stream is
    deleted, made again and written to within one.
    """
    return not one or not other or abs(one - other) <= _ROUNDED
