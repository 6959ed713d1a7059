"""What the customer reads: one letter for each thing that can happen to a purchase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from shop.money import shown
from shop.plain_text import plain
from shop_contracts import (
    Customer,
    Item,
    OrderExpired,
    OrderRejected,
    Outcome,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
)

_MOST_LINES: Final = 50


class Letter(Struct, frozen=True, kw_only=True):
    """A letter of plain text. Nothing a stranger wrote leaves its line or controls a terminal."""

    purchase_id: str
    customer: Customer
    about: Outcome
    subject: str
    text: str


def about_rejection(order: OrderRejected, link: str = "") -> Letter:
    """Why the purchase was not accepted, and what to do; `link` leads to the order."""
    number = _number(order.purchase_id)
    return Letter(
        purchase_id=order.purchase_id,
        customer=order.customer,
        about=Outcome.REJECTED,
        subject=f"We could not accept your order {number}",
        text=_letter(
            order.customer,
            f"we could not accept your order {number}.",
            _section("What you wanted to buy:", _lines_of(order.items, order.currency)),
            _section("What went wrong:", [plain(r.message, 200) for r in order.reasons]),
            "What to do: please correct this and order again. You were not charged.",
            _where(link),
        ),
    )


def about_payment(payment: PaymentCaptured, link: str = "") -> Letter:
    """That the order is paid; `link` leads to it."""
    number = _number(payment.purchase_id)
    amount = shown(payment.amount, payment.currency)
    return Letter(
        purchase_id=payment.purchase_id,
        customer=payment.customer,
        about=Outcome.CAPTURED,
        subject=f"Your order {number} is paid",
        text=_letter(
            payment.customer,
            f"thank you: we received {amount} for your order {number}.",
            _section("What you bought:", _lines_of(payment.items, payment.currency)),
            f"Payment reference: {plain(payment.reference)}",
            "There is nothing left for you to do. Should the order have expired before, you get "
            "all of it back by itself.",
            _where(link),
        ),
    )


def about_refusal(payment: PaymentDeclined, link: str = "") -> Letter:
    """Why the payment was refused, and what to do; `link` leads to the order."""
    number = _number(payment.purchase_id)
    remedy = (
        "please order again later, or with another means of payment."
        if payment.retryable
        else "please order again with another means of payment."
    )
    return Letter(
        purchase_id=payment.purchase_id,
        customer=payment.customer,
        about=Outcome.DECLINED,
        subject=f"The payment for your order {number} was refused",
        text=_letter(
            payment.customer,
            f"the payment of {shown(payment.amount, payment.currency)} for your order {number} "
            "was refused.",
            _section("What you wanted to buy:", _lines_of(payment.items, payment.currency)),
            _section("What went wrong:", [plain(payment.message, 200)]),
            f"What to do: {remedy} You were not charged.",
            _where(link),
        ),
    )


def about_expiry(order: OrderExpired, link: str = "") -> Letter:
    """That the order was not paid in time; `link` leads to it."""
    number = _number(order.purchase_id)
    total = shown(order.total, order.currency)
    return Letter(
        purchase_id=order.purchase_id,
        customer=order.customer,
        about=Outcome.EXPIRED,
        subject=f"Your order {number} has expired",
        text=_letter(
            order.customer,
            f"your order {number} was not paid in time, so it has expired.",
            f"If {total} should still be charged, you get all of it back by itself.",
            "What to do: please order again if you still want it.",
            _where(link),
        ),
    )


def about_refund(refund: PaymentRefunded, link: str = "") -> Letter:
    """That the money went back; `link` leads to the order."""
    number = _number(refund.purchase_id)
    amount = shown(refund.amount, refund.currency)
    return Letter(
        purchase_id=refund.purchase_id,
        customer=refund.customer,
        about=Outcome.REFUNDED,
        subject=f"You got your money for the order {number} back",
        text=_letter(
            refund.customer,
            f"{amount} for your order {number} came too late, so we gave it back to you.",
            f"Payment reference: {plain(refund.reference)}",
            "There is nothing left for you to do.",
            _where(link),
        ),
    )


def _letter(customer: Customer, *paragraphs: str) -> str:
    name = plain(customer.name, 60).strip() or "customer"
    return "\n\n".join([f"Hello {name},", *filter(None, paragraphs), "Your shop"]) + "\n"


def _where(link: str) -> str:
    """Where the order is followed: the link is for its customer alone."""
    return f"Follow your order here; the link is for you alone:\n{link}" if link else ""


def _section(title: str, lines: Sequence[str]) -> str:
    listed = [f"  - {line}" for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        listed.append(f"  … and {len(lines) - _MOST_LINES} more")
    return "\n".join([title, *(listed or ["  (nothing)"])])


def _lines_of(items: Sequence[Item], currency: str) -> list[str]:
    return [_line(item, currency) for item in items]


def _line(item: Item, currency: str) -> str:
    price = shown(item.unit_price, currency)
    return f"{plain(str(item.quantity), 12)} x {plain(item.sku, 60)} at {price}"


def _number(purchase_id: str) -> str:
    return plain(purchase_id, 60)
