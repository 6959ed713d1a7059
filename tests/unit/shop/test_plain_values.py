"""Addresses, amounts and text of strangers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.addresses import is_plausible
from shop.currencies import FINEST, UNITS
from shop.money import shown
from shop.plain_text import plain


@pytest.mark.parametrize(
    "address",
    [
        "customer@example.test",
        "first.last+tag@mail.example.test",
        "o'neil@xn--bcher-kva.example.test",
        f"{'a' * 64}@example.test",
    ],
)
def test_addresses_that_mail_can_reach_are_plausible(address: str) -> None:
    assert is_plausible(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "customer",
        "customer@",
        "@example.test",
        "customer@localhost",
        "a@b@example.test",
        ".a@example.test",
        "a..b@example.test",
        "a@-example.test",
        "a@example..test",
        "a b@example.test",
        "customer@example.test\n",
        "customer@example.test\r\nBcc: other@example.test",
        "customer@example.test>",
        "bücher@example.test",
        f"{'a' * 65}@example.test",
        f"a@{'a' * 64}.test",
        f"a@{'a.' * 130}test",
    ],
)
def test_addresses_that_no_mail_can_reach_are_not(address: str) -> None:
    assert not is_plausible(address)


def test_a_hostile_address_is_judged_at_once() -> None:
    """No input makes the expression backtrack for long; a megabyte is refused by its length."""
    assert not is_plausible("a" * 1_000_000)
    assert not is_plausible("a." * 30 + "@" + "a-" * 90)


def test_currencies_have_the_decimals_of_iso_4217() -> None:
    wanted = {"EUR": "0.01", "JPY": "1", "KWD": "0.001", "XOF": "1", "HUF": "0.01"}
    assert {code: str(UNITS[code]) for code in wanted} == wanted
    assert min(UNITS.values()) == FINEST
    assert len(UNITS) > 150
    assert all(len(code) == 3 and code.isupper() for code in UNITS)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("9", "EUR", "9.00 EUR"),
        ("1234567.5", "EUR", "1,234,567.50 EUR"),
        ("450", "JPY", "450 JPY"),
        ("9.005", "EUR", "9.005 EUR"),
        ("NaN", "EUR", "NaN EUR"),
        ("-Infinity", "EUR", "-Infinity EUR"),
        ("1E+999999", "EUR", "1.00E+999999 EUR"),
        ("9", "a\nb", "9.000 a b"),
    ],
)
def test_amounts_are_shown_as_people_write_them(amount: str, currency: str, text: str) -> None:
    assert shown(Decimal(amount), currency) == text


@given(
    st.decimals() | st.sampled_from(["9" * 5000, "sNaN" + "1" * 500, "1E-1000000"]).map(Decimal),
    st.sampled_from(["EUR", "JPY", "KWD"]) | st.text(),
)
def test_any_amount_is_shown_in_one_short_line(amount: Decimal, currency: str) -> None:
    text = shown(amount, currency)
    assert len(text) < 45
    assert text.isprintable()


@given(st.text(), st.integers(1, 50))
def test_plain_text_is_one_printable_line_within_its_limit(text: str, limit: int) -> None:
    made = plain(text, limit)
    assert made.isprintable()
    assert len(made) <= limit


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("Zoë & <b>Söhne</b>", "Zoë & <b>Söhne</b>"),
        ("a\r\nBcc: b", "a  Bcc: b"),
        ("\x1b[31mred", "\N{REPLACEMENT CHARACTER}[31mred"),
        ("abc\N{RIGHT-TO-LEFT OVERRIDE}cba", "abc\N{REPLACEMENT CHARACTER}cba"),
        ("abcdef", "abcd…"),
    ],
)
def test_what_does_not_print_is_neutralised(text: str, made: str) -> None:
    assert plain(text, 5 if text == "abcdef" else 80) == made
