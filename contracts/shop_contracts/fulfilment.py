"""What becomes of an order: it is paid in time, or it expires, and late money goes back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from jetmesh import event, state
from shop_contracts.money import Amount, Currency
from shop_contracts.purchases import Customer, PurchaseId

FulfilmentStep = Literal["awaiting_payment", "paid", "declined", "expired", "refunding", "refunded"]
_REFUNDING: Final = "payments asks the gateway until it answers, or leaves a dead letter"


@state(
    "fulfilment.orders",
    key="purchase_id",
    steps="step",
    ends=("paid", "declined", "expired"),
    undone=("refunded",),
    forever={"refunding": _REFUNDING},
)
class Fulfilment(Struct, frozen=True, kw_only=True):
    """Where an order stands."""

    purchase_id: PurchaseId
    step: Annotated[FulfilmentStep, Meta(description="What has become of it.")]
    customer: Customer
    total: Amount
    currency: Currency
    pay_until: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(
            description="Until when it can be paid; absent once it is known how the payment ended."
        ),
    ] = None


@event("fulfilments.overdue", key="purchase_id")
class PaymentOverdue(Struct, frozen=True, kw_only=True):
    """The time for paying an order is over, if nobody has said by now how the payment ended."""

    purchase_id: PurchaseId


@event("fulfilments.expired", key="purchase_id")
class OrderExpired(Struct, frozen=True, kw_only=True):
    """An order was not paid in time: the customer gets nothing, and money that comes goes back."""

    purchase_id: PurchaseId
    customer: Customer
    total: Amount
    currency: Currency
    expired_at: Annotated[
        datetime, Meta(tz=True, description="When it was noticed; the same each time.")
    ]


@event("fulfilments.refund_wanted", key="purchase_id")
class RefundWanted(Struct, frozen=True, kw_only=True):
    """The customer paid for an order that had expired: their money goes back."""

    purchase_id: PurchaseId
    customer: Customer
    amount: Amount
    currency: Currency
    reference: Annotated[
        str, Meta(description="The gateway's name for the charge.", examples=["ch_4f1c0a7e"])
    ]
