"""What a customer earned by buying: points and a tier, and the event that tells of a new tier."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from jetmesh import event, state
from shop_contracts.codes import Code
from shop_contracts.purchases import PurchaseId

AccountId = Annotated[
    str,
    Meta(
        description="Whose account: 32 hexadecimal digits of BLAKE2b of the customer's id.",
        examples=["9d58d3430363985e7a8e033c923d8f19"],
    ),
]
Points = Annotated[
    int,
    Meta(
        ge=0,
        description="One for each whole unit of currency that was captured, whichever currency.",
        examples=[120],
    ),
]


class Tier(Code):
    """What many points make of a customer; who has one keeps it.

    silver: from 100 points.
    gold: from 500 points.
    platinum: from 2000 points.
    other: a tier newer than the reader of this contract.
    """

    SILVER = "silver"
    GOLD = "gold"
    PLATINUM = "platinum"
    OTHER = "other"


@state("loyalty.accounts", key="account")
class Account(Struct, frozen=True, kw_only=True):
    """What is known of one customer."""

    account: AccountId
    points: Points = 0
    tier: Annotated[Tier | None, Meta(description="The highest one that was reached.")] = None


@event("tiers.reached", key="account")
class TierReached(Struct, frozen=True, kw_only=True):
    """A customer has reached a tier: told once, and of several at once the highest."""

    account: AccountId
    tier: Annotated[Tier, Meta(description="Which one.")]
    points: Points
    purchase_id: PurchaseId
