"""The order form of the storefront: what is for sale, and what a filled-in form orders."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from urllib.parse import parse_qsl

from shop_contracts import Customer, Item, PurchaseCreated

CURRENCY: Final = "EUR"
ARTICLES: Final = {
    "tea": ("Tea, 100 g", Decimal("4.50")),
    "coffee": ("Coffee, 250 g", Decimal("7.90")),
    "cup": ("A cup", Decimal("12.00")),
}
"""What is for sale: by article, what people call it, and its price in `CURRENCY`."""
CARDS: Final = {
    "tok_ok": "A card that works",
    "tok_insufficient_funds": "A card without money",
    "tok_expired_card": "A card that has expired",
}
"""The test cards of the sandbox gateway; a real gateway's own form would give a token."""
_MOST_FIELDS: Final = 32
_MOST_DIGITS: Final = 3


class OrderFormError(ValueError):
    """What is wrong with an order, in words for whoever made it."""


def read(body: bytes) -> dict[str, str]:
    """The fields of a form that a browser sends.

    Raises:
        OrderFormError: it is none.
    """
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise OrderFormError("The order cannot be read.") from error


def ordered(form: Mapping[str, str]) -> PurchaseCreated:
    """The purchase that a filled-in form asks for.

    Raises:
        OrderFormError: something is missing in it.
    """
    chosen = {sku: _number(form.get(sku, "")) for sku in ARTICLES}
    items = tuple(
        Item(sku=sku, quantity=number, unit_price=ARTICLES[sku][1])
        for sku, number in chosen.items()
        if number
    )
    if not items:
        raise OrderFormError("Choose at least one article.")
    name, email = form.get("name", "").strip(), form.get("email", "").strip()
    if not name or "@" not in email:
        raise OrderFormError("Say your name, and the e-mail address for the confirmation.")
    return PurchaseCreated(
        purchase_id=form.get("purchase_id", ""),
        customer=Customer(id=f"web:{email.lower()}", name=name, email=email),
        items=items,
        total=sum((item.quantity * item.unit_price for item in items), Decimal(0)),
        currency=CURRENCY,
        payment_token=form.get("card", ""),
        placed_at=datetime.now(UTC),
    )


def _number(text: str) -> int:
    digits = text.strip() or "0"
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS):
        raise OrderFormError("Say how many in digits, up to 999.")
    return int(digits)
