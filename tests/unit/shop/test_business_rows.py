"""Amounts survive being packed exactly, or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.business_rows import ABSURD, Row, Rows, amount_of, units


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_an_amount_is_exact_or_absurd(amount: Decimal) -> None:
    found = units(amount)
    assert found == ABSURD or Decimal(found).scaleb(-4) == amount


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("9", "EUR", "9.00"),
        ("9.00000", "EUR", "9.00"),
        ("-0.5", "EUR", "-0.50"),
        ("500", "JPY", "500"),
        ("500.5", "JPY", "500.5"),
        ("1.5", "KWD", "1.500"),
        ("1.25", "no currency", "1.25"),
    ],
)
def test_an_amount_is_shown_with_the_decimals_of_its_currency(
    amount: str, currency: str, shown: str
) -> None:
    assert amount_of(units(Decimal(amount)), currency) == shown


def test_a_row_is_read_as_it_was_written() -> None:
    rows = Rows()
    first, second = rows.add(), rows.add()
    row = Row(placed=2**63, amount=ABSURD, currency=1, since=2**32 - 1, repeats=3, told=1)
    rows.write(second, row)
    assert rows.read(second) == row
    assert rows.read(first) == Row()
    assert rows.placed(second) == 2**63
