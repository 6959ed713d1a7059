"""What order validation decides about a purchase: exactly one of validated, rejected."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from jetmesh import event
from shop_contracts.codes import Code
from shop_contracts.money import Amount, AmountAsGiven, Currency
from shop_contracts.purchases import Customer, Items, PaymentToken, PurchaseId


class RejectionCode(Code):
    """Why a purchase cannot become an order.

    no_items: there is nothing to buy.
    too_many_items: there are more lines than one order may have.
    quantity_not_positive: a line has none or fewer of its article.
    quantity_too_large: a line has more of its article than one order may have.
    price_not_positive: a unit price is zero, negative or not a number.
    price_decimals: a unit price has more decimals than its currency.
    total_mismatch: the total is not the sum of the lines.
    total_decimals: the total has more decimals than its currency.
    total_invalid: the total is zero, negative or not a number.
    over_ceiling: the purchase is worth more than one order may be.
    too_large: the purchase has more text than one order may have.
    unknown_currency: the currency is not an active ISO 4217 code.
    implausible_email: no mail can reach the customer's address.
    other: a reason newer than the reader of this contract.
    """

    NO_ITEMS = "no_items"
    TOO_MANY_ITEMS = "too_many_items"
    QUANTITY_NOT_POSITIVE = "quantity_not_positive"
    QUANTITY_TOO_LARGE = "quantity_too_large"
    PRICE_NOT_POSITIVE = "price_not_positive"
    PRICE_DECIMALS = "price_decimals"
    TOTAL_MISMATCH = "total_mismatch"
    TOTAL_DECIMALS = "total_decimals"
    TOTAL_INVALID = "total_invalid"
    OVER_CEILING = "over_ceiling"
    TOO_LARGE = "too_large"
    UNKNOWN_CURRENCY = "unknown_currency"
    IMPLAUSIBLE_EMAIL = "implausible_email"
    OTHER = "other"


class Reason(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a purchase."""

    code: Annotated[RejectionCode, Meta(description="What is wrong, for programs.")]
    field: Annotated[
        str,
        Meta(
            description="The path of the field at fault; empty for the purchase as a whole.",
            examples=["items[0].quantity"],
        ),
    ]
    message: Annotated[
        str,
        Meta(
            description="What is wrong, for people: one sentence of plain text.",
            examples=["The quantity must be at least 1."],
        ),
    ]


@event("orders.validated", key="purchase_id", decision="orders.*")
class OrderValidated(Struct, frozen=True, kw_only=True):
    """The purchase is arithmetically and commercially sound; payment may start."""

    purchase_id: PurchaseId
    customer: Customer
    items: Items
    total: Amount
    currency: Currency
    payment_token: PaymentToken
    validated_at: Annotated[
        datetime,
        Meta(tz=True, description="When the purchase reached the shop; the same each time."),
    ]


@event("orders.rejected", key="purchase_id", decision="orders.*")
class OrderRejected(Struct, frozen=True, kw_only=True):
    """The purchase cannot become an order; nothing is charged.

    Customer, items, total and currency are as given, right or wrong. Of a purchase that is
    too_large they are shortened: without items, and with only so much text as a line holds.
    """

    purchase_id: PurchaseId
    customer: Customer
    items: Items
    total: AmountAsGiven
    currency: Annotated[
        str, Meta(description="The currency as given: possibly no currency.", examples=["EUR"])
    ]
    reasons: Annotated[
        tuple[Reason, ...], Meta(description="Every reason found, in the order of the fields.")
    ]
    rejected_at: Annotated[
        datetime,
        Meta(tz=True, description="When the purchase reached the shop; the same each time."),
    ]
