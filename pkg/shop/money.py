"""Amounts of money as people read them, whatever somebody put into the field."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

from shop.currencies import FINEST, UNITS
from shop.plain_text import plain

EXACT: Final = Context(prec=80, traps=[])
"""Calculates without rounding for every amount up to `LARGEST`, and never raises."""

LARGEST: Final = Decimal(10**15)
"""No amount of money that the shop calculates with is larger."""


def shown(amount: Decimal, currency: str) -> str:
    """`9.00 EUR`, of a length that fits a line: `1.00E+999999 EUR`, `NaN EUR` for the absurd."""
    return f"{_number(amount, UNITS.get(currency, FINEST))} {plain(currency, 8)}"


def in_units(amount: Decimal, unit: Decimal) -> bool:
    """Whether `amount`, finite and at most `LARGEST`, has no decimals below `unit`."""
    return EXACT.quantize(amount, unit) == amount


def _number(amount: Decimal, unit: Decimal) -> str:
    if not amount.is_finite():
        return str(amount)[:9]  # a NaN may carry a million digits of payload
    if abs(amount.adjusted()) > LARGEST.adjusted():
        return f"{EXACT.create_decimal(amount):.2E}"
    if not in_units(amount, unit):
        return f"{amount:.6g}"
    return f"{EXACT.quantize(amount, unit):,f}"
