"""Loyalty: a point for each whole unit of currency that a customer paid, and tiers for many.

A unit is 1 of what a price says: a euro, a yen, a dinar; points of all currencies add up. What a
payment has beyond whole units is not kept for the next one.
"""

from __future__ import annotations

from typing import Final

from jetmesh import Service
from shop_contracts import Account, PaymentCaptured, Tier, TierReached

TIERS: Final = {None: 0, Tier.SILVER: 100, Tier.GOLD: 500, Tier.PLATINUM: 2000}
"""From how many points on, the lowest one first."""

service = Service(
    "loyalty",
    version="1.0.0",
    description="Counts what customers earned by buying, and tells when they reach a tier.",
)


@service.on(
    PaymentCaptured,
    state=Account,
    by="customer.account",
    reads=("customer.id", "amount"),
)
def award(payment: PaymentCaptured, account: Account | None) -> tuple[Account, TierReached | None]:
    """Add what the payment is worth; a tier is told once, and kept if it is made dearer later."""
    known = account or Account(account=payment.customer.account)
    points = known.points + int(payment.amount)
    reached = [tier for tier, needed in TIERS.items() if points >= needed]
    tier = max(known.tier, reached[-1], key=[*TIERS].index)
    after = Account(account=known.account, points=points, tier=tier)
    if tier is None or tier is known.tier:
        return after, None
    return after, TierReached(
        account=after.account, tier=tier, points=points, purchase_id=payment.purchase_id
    )
