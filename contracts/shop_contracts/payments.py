"""How the payment of a validated order ends: exactly one of captured, declined."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from jetmesh import event
from shop_contracts.codes import Code
from shop_contracts.fulfilment import RefundWanted
from shop_contracts.money import Amount, Currency
from shop_contracts.purchases import Customer, Items, PurchaseId


class DeclineReason(Code):
    """Why the gateway did not charge.

    insufficient_funds: the account or card does not cover the amount.
    expired_card: the card is past its date.
    unknown_token: the gateway does not know the payment token.
    refused: the bank refused without saying why.
    other: a reason newer than the reader of this contract.
    """

    INSUFFICIENT_FUNDS = "insufficient_funds"
    EXPIRED_CARD = "expired_card"
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - a code, no secret
    REFUSED = "refused"
    OTHER = "other"


@event("payments.captured", key="purchase_id", decision="payments.*", undone_by=RefundWanted)
class PaymentCaptured(Struct, frozen=True, kw_only=True):
    """The customer was charged; the goods are theirs."""

    purchase_id: PurchaseId
    customer: Customer
    items: Items
    amount: Amount
    currency: Currency
    reference: Annotated[
        str, Meta(description="The gateway's name for the charge.", examples=["ch_4f1c0a7e"])
    ]
    captured_at: Annotated[
        datetime,
        Meta(tz=True, description="When the gateway charged; the same if it is asked again."),
    ]


@event("payments.declined", key="purchase_id", decision="payments.*")
class PaymentDeclined(Struct, frozen=True, kw_only=True):
    """The gateway refused the charge; the customer paid nothing."""

    purchase_id: PurchaseId
    customer: Customer
    items: Items
    amount: Amount
    currency: Currency
    reason: Annotated[DeclineReason, Meta(description="Why, for programs.")]
    message: Annotated[
        str,
        Meta(
            description="Why, for people: one sentence.",
            examples=["The card has expired."],
        ),
    ]
    retryable: Annotated[
        bool,
        Meta(description="Whether the same means of payment may work at another time."),
    ]
    declined_at: Annotated[
        datetime,
        Meta(tz=True, description="When the gateway refused; the same if it is asked again."),
    ]
