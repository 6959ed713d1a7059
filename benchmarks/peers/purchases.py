"""The contract and the decision that all Python peers share; peers/go/purchases.go is the same.

It imports nothing of jetmesh: the peers live in an environment without it. Amounts are in minor
units, because Go's standard library has no decimal number and the work must be the same.
"""

from __future__ import annotations

from msgspec import Struct


class Customer(Struct, frozen=True, kw_only=True):
    """Who buys."""

    id: str
    name: str
    email: str


class Item(Struct, frozen=True, kw_only=True):
    """One line of a purchase."""

    sku: str
    quantity: int
    unit_price: int


class PurchaseCreated(Struct, frozen=True, kw_only=True):
    """A customer bought something; nobody has looked at it yet."""

    purchase_id: str
    customer: Customer
    items: list[Item]
    total: int
    currency: str
    payment_token: str
    placed_at: str


class OrderValidated(Struct, frozen=True, kw_only=True):
    """The purchase is sound; payment may start."""

    purchase_id: str
    customer: Customer
    items: list[Item]
    total: int
    currency: str
    payment_token: str


class OrderRejected(Struct, frozen=True, kw_only=True):
    """The purchase is not sound; `reasons` holds every one found."""

    purchase_id: str
    customer: Customer
    reasons: list[str]


def decide(purchase: PurchaseCreated) -> OrderValidated | OrderRejected:
    """Accept a sound purchase; otherwise reject it with every reason found."""
    reasons = []
    total = 0
    for item in purchase.items:
        if item.quantity <= 0 or item.unit_price <= 0:
            reasons.append(f"{item.sku}: quantity and price must be positive")
        total += item.quantity * item.unit_price
    if total != purchase.total:
        reasons.append("the items do not add up to the total")
    if reasons:
        return OrderRejected(
            purchase_id=purchase.purchase_id, customer=purchase.customer, reasons=reasons
        )
    return OrderValidated(
        purchase_id=purchase.purchase_id,
        customer=purchase.customer,
        items=purchase.items,
        total=purchase.total,
        currency=purchase.currency,
        payment_token=purchase.payment_token,
    )
