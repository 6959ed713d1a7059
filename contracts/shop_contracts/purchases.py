"""What a purchase is, and the event that starts everything."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import Annotated

from msgspec import Meta, Struct

from jetmesh import event
from shop_contracts.money import AmountAsGiven, Currency

PurchaseId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="What every event of the purchase is about; at most 200 bytes of UTF-8.",
        examples=["p-1"],
    ),
]
PaymentToken = Annotated[
    str,
    Meta(
        description="What the payment gateway charges instead of card data. Never logged.",
        extra={"sensitive": True},
        examples=["tok_ok"],
    ),
]
EmailAddress = Annotated[
    str,
    Meta(
        description="An e-mail address, as given. Never logged.",
        extra={"sensitive": True},
        examples=["customer@example.test"],
    ),
]


class Customer(Struct, frozen=True, kw_only=True):
    """Who buys, and how to reach them."""

    id: Annotated[str, Meta(description="The shop's id of the customer.", examples=["c-1"])]
    name: Annotated[
        str,
        Meta(
            description="How to address the customer: any text, so show it as text only.",
            examples=["Sample Customer"],
        ),
    ]
    email: EmailAddress

    @property
    def account(self) -> str:
        """What the customer is called where a name is seen by many, as a key in a subject is.

        One for each id, 32 hexadecimal digits of BLAKE2b, and not the id: that may be an e-mail
        address, or any text. Who knows an id can make its account, nobody the id of an account.
        """
        return blake2b(self.id.encode(), digest_size=16).hexdigest()


class Item(Struct, frozen=True, kw_only=True):
    """One line of a purchase."""

    sku: Annotated[
        str,
        Meta(
            description="Which article: any text, so show it as text only.",
            examples=["tea"],
        ),
    ]
    quantity: Annotated[int, Meta(description="How many of it.", examples=[2])]
    unit_price: Annotated[AmountAsGiven, Meta(examples=["4.50"])]


Items = Annotated[tuple[Item, ...], Meta(description="What is bought, line by line.")]


@event("purchases.created", key="purchase_id")
class PurchaseCreated(Struct, frozen=True, kw_only=True):
    """A customer wants to buy something and has chosen how to pay.

    Whoever sells publishes it, once per purchase. Nothing in it is checked beyond its JSON
    types: order validation answers it with orders.validated or orders.rejected.
    """

    purchase_id: PurchaseId
    customer: Customer
    items: Items
    total: AmountAsGiven
    currency: Currency
    payment_token: PaymentToken
    placed_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(description="When the customer pressed the button, with its offset."),
    ] = None
