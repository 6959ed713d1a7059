"""Money that went back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from jetmesh import event
from shop_contracts.money import Amount, Currency
from shop_contracts.purchases import Customer, PurchaseId


@event("refunds.made", key="purchase_id", decision="refunds.made")
class PaymentRefunded(Struct, frozen=True, kw_only=True):
    """The gateway gave the customer's money back."""

    purchase_id: PurchaseId
    customer: Customer
    amount: Amount
    currency: Currency
    reference: Annotated[
        str, Meta(description="The gateway's name for the charge.", examples=["ch_4f1c0a7e"])
    ]
    refunded_at: Annotated[
        datetime,
        Meta(tz=True, description="When the refund was asked for; the same if it is repeated."),
    ]
