"""Fulfilment: an order is paid in time, or it expires, and what is paid later is given back."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from jetmesh import Cancel, Delivery, Duration, Later, Service, seconds
from shop_contracts import (
    Fulfilment,
    FulfilmentStep,
    OrderExpired,
    OrderValidated,
    PaymentCaptured,
    PaymentDeclined,
    PaymentOverdue,
    PaymentRefunded,
    RefundWanted,
)


class FulfilmentSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an order waits for its payment."""

    pay_within: Annotated[
        Duration, Meta(description="So long after it was validated an order can be paid.")
    ] = Duration(900)


service = Service(
    "fulfilment",
    version="1.0.0",
    settings=FulfilmentSettings,
    description="Lets orders expire that are not paid in time, and has late money given back.",
)


def order_in(
    step: FulfilmentStep, of: OrderValidated | PaymentCaptured | PaymentDeclined, total: Decimal
) -> Fulfilment:
    """Where an order stands that was not known before, or goes on as it is told."""
    return Fulfilment(
        purchase_id=of.purchase_id,
        step=step,
        customer=of.customer,
        total=total,
        currency=of.currency,
    )


@service.on(OrderValidated, state=Fulfilment, moves={None: "awaiting_payment"}, otherwise="ignore")
def begin(
    order: OrderValidated, _: Fulfilment | None, delivery: Delivery, settings: FulfilmentSettings
) -> tuple[Fulfilment, Later[PaymentOverdue]]:
    """Wait for the payment, and not for ever."""
    until = delivery.now + seconds(settings.pay_within)
    waiting = order_in("awaiting_payment", order, order.total)
    overdue = PaymentOverdue(purchase_id=order.purchase_id)
    return replace(waiting, pay_until=until), Later(overdue, at=until)


@service.on(
    PaymentCaptured,
    state=Fulfilment,
    moves={None: "paid", "awaiting_payment": "paid", "expired": "refunding"},
    otherwise="ignore",
)
def pay(
    payment: PaymentCaptured, known: Fulfilment | None
) -> tuple[Fulfilment, RefundWanted | Cancel[PaymentOverdue]]:
    """Take the money, or have it given back when it comes too late."""
    if known is None or known.step != "expired":
        cancelled = Cancel(PaymentOverdue, payment.purchase_id)
        return order_in("paid", payment, payment.amount), cancelled
    return replace(known, step="refunding"), RefundWanted(
        purchase_id=payment.purchase_id,
        customer=payment.customer,
        amount=payment.amount,
        currency=payment.currency,
        reference=payment.reference,
    )


@service.on(
    PaymentDeclined,
    state=Fulfilment,
    moves={None: "declined", "awaiting_payment": "declined"},
    otherwise="ignore",
)
def decline(
    payment: PaymentDeclined, _: Fulfilment | None
) -> tuple[Fulfilment, Cancel[PaymentOverdue]]:
    """Nothing is paid: the order ends."""
    cancelled = Cancel(PaymentOverdue, payment.purchase_id)
    return order_in("declined", payment, payment.amount), cancelled


@service.on(
    PaymentOverdue, state=Fulfilment, moves={"awaiting_payment": "expired"}, otherwise="ignore"
)
def expire(
    _: PaymentOverdue, order: Fulfilment, delivery: Delivery
) -> tuple[Fulfilment, OrderExpired]:
    """Nobody paid in time."""
    return replace(order, step="expired", pay_until=None), OrderExpired(
        purchase_id=order.purchase_id,
        customer=order.customer,
        total=order.total,
        currency=order.currency,
        expired_at=delivery.stored_at,
    )


@service.on(PaymentRefunded, state=Fulfilment, moves={"refunding": "refunded"}, otherwise="reject")
def close(_: PaymentRefunded, order: Fulfilment) -> Fulfilment:
    """The late money is back with its customer."""
    return replace(order, step="refunded")
