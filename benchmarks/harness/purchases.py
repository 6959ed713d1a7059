"""The purchases that are measured, and outcomes for a history: realistic, with distinct keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from peers.purchases import Customer, Item, OrderRejected, PurchaseCreated, decide

_CUSTOMERS: Final = 5000
_UNSOUND: Final = 10
"""Each tenth purchase does not add up, so both outcomes occur."""
_encode = msgspec.json.Encoder().encode


def purchase(key: str, number: int) -> PurchaseCreated:
    """A purchase of about 300 bytes as JSON."""
    tea, cups = 1 + number % 4, 1 + number % 2
    total = tea * 450 + cups * 1290 + (1 if number % _UNSOUND == 0 else 0)
    who = number % _CUSTOMERS
    return PurchaseCreated(
        purchase_id=key,
        customer=Customer(
            id=f"c-{who}", name="Sample Customer", email=f"customer-{who}@example.test"
        ),
        items=[
            Item(sku="tea-earl-grey", quantity=tea, unit_price=450),
            Item(sku="cup-porcelain", quantity=cups, unit_price=1290),
        ],
        total=total,
        currency="EUR",
        payment_token="tok_ok",  # noqa: S106 - a sandbox's token
        placed_at="2026-01-15T09:30:00Z",
    )


def purchases(prefix: str, amount: int) -> Iterator[tuple[str, bytes]]:
    """Subject and payload of `amount` purchases, typed as a person's: no key in the subject."""
    for number in range(amount):
        yield "purchases.created", _encode(purchase(f"{prefix}-{number}", number))


def purchases_of(
    customer: Callable[[int], str], prefix: str, amount: int
) -> Iterator[tuple[str, bytes]]:
    """Subject and payload of `amount` purchases; `customer` says whose each one is."""
    for number in range(amount):
        one = purchase(f"{prefix}-{number}", number)
        who = replace(one.customer, id=customer(number))
        yield "purchases.created", _encode(replace(one, customer=who))


def outcomes(prefix: str, amount: int, *, start: int = 0) -> Iterator[tuple[str, bytes]]:
    """Subject and payload of `amount` decided orders, from number `start` on."""
    for number in range(start, start + amount):
        order = decide(purchase(f"{prefix}-{number}", number))
        subject = "orders.rejected" if isinstance(order, OrderRejected) else "orders.validated"
        yield f"{subject}.{prefix}-{number}", _encode(order)
