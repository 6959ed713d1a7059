"""A purchase as the board keeps it: a row of fixed size, because a million of them must fit.

A Python object per purchase costs some 600 bytes, a row and its key about a third of that.
"""

from __future__ import annotations

import struct
from decimal import Context, Decimal, Inexact, InvalidOperation
from enum import IntEnum
from typing import Final

from msgspec import Struct

from shop.currencies import UNITS

ABSURD: Final = -(2**63)
"""Stands for an amount that is none: NaN, infinite, beyond 10^14, finer than 1/10000."""

_layout = struct.Struct("<QqIIIQIQIqIBBB")
_cent = Decimal("0.01")
_smallest = Decimal("0.0001")  # no ISO 4217 currency has more than four decimals
_exact = Context(prec=18, traps=[Inexact, InvalidOperation])


class Status(IntEnum):
    """Where a purchase stands; what follows VALIDATED are outcomes."""

    PLACED = 0
    VALIDATED = 1
    CAPTURED = 2
    DECLINED = 3
    REJECTED = 4
    EXPIRED = 5
    REFUNDED = 6


class Row(Struct, gc=False):
    """What is known of one purchase; a sequence of 0 says that the event was not seen."""

    placed: int = 0
    """Sequence of its first purchases.created: the lowest wins, in whatever order they come."""
    amount: int = 0
    """Its total in 1/10000 of the currency's unit, or ABSURD."""
    currency: int = 0
    """Which `Names` entry the currency is."""
    since: int = 0
    """When its first event was stored, in seconds since 1970."""
    repeats: int = 0
    """How often purchases.created came again with the same id."""
    order: int = 0
    """Sequence of the first orders.* event."""
    verdict: int = 0
    """Which `Names` entry that event says."""
    payment: int = 0
    """Sequence of the first payments.* event."""
    result: int = 0
    """Which `Names` entry that event says."""
    charged: int = 0
    """What was charged, in 1/10000 of the unit, or ABSURD; 0 unless captured."""
    charged_in: int = 0
    """Which `Names` entry the currency of the charge is."""
    told: int = 0
    """1 once its customer was told."""
    expired: int = 0
    """1 once it was not paid in time."""
    refunded: int = 0
    """1 once what was paid too late went back."""


class Rows:
    """Rows by number, packed into one buffer."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._buffer) // _layout.size

    def add(self) -> int:
        """Append an empty row and return its number."""
        self._buffer += bytes(_layout.size)
        return len(self) - 1

    def read(self, number: int) -> Row:
        return Row(*_layout.unpack_from(self._buffer, number * _layout.size))

    def write(self, number: int, row: Row) -> None:
        _layout.pack_into(
            self._buffer,
            number * _layout.size,
            row.placed,
            row.amount,
            row.currency,
            row.since,
            row.repeats,
            row.order,
            row.verdict,
            row.payment,
            row.result,
            row.charged,
            row.charged_in,
            row.told,
            row.expired,
            row.refunded,
        )

    def placed(self, number: int) -> int:
        """Only the sequence of the first purchases.created: what an order by age needs."""
        sequence: int = _layout.unpack_from(self._buffer, number * _layout.size)[0]
        return sequence


class Names:
    """Values that many rows share, each kept once and known by its number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}
        self._values: list[tuple[str, ...]] = []

    def number(self, value: tuple[str, ...]) -> int:
        known = self._numbers.get(value)
        if known is None:
            known = self._numbers[value] = len(self._values)
            self._values.append(value)
        return known

    def value(self, number: int) -> tuple[str, ...]:
        return self._values[number]


def units(amount: Decimal) -> int:
    """`amount` in 1/10000, exactly, so that sums are exact in any order; ABSURD if it has none."""
    if not amount.is_finite():
        return ABSURD
    try:
        return int(_exact.quantize(amount, _smallest).scaleb(4))
    except (Inexact, InvalidOperation):
        return ABSURD


def amount_of(value: int, currency: str) -> str:
    """`units` as a text with the currency's decimals: `9.00`; more where there are more."""
    decimals = -int(UNITS.get(currency, _cent).as_tuple().exponent)
    whole, fraction = divmod(abs(value), 10_000)
    digits = f"{fraction:04d}".rstrip("0").ljust(decimals, "0")
    return f"{'-' if value < 0 else ''}{whole}{'.' if digits else ''}{digits}"
