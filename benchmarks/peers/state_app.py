"""A service that remembers, as any user writes it: what each customer bought.

`python -m peers.state_app award|tell`: the second one publishes an event with every step, too.
"""

from __future__ import annotations

import sys

from msgspec import Struct

from jetmesh import Service, event, state
from peers.purchases import PurchaseCreated

event("purchases.created", key="purchase_id")(PurchaseCreated)


@state("bench.accounts", key="customer_id")
class Account(Struct, frozen=True):
    """What is known of one customer."""

    customer_id: str
    purchases: int = 0
    spent: int = 0


@event("points.given", key="purchase_id")
class PointsGiven(Struct, frozen=True):
    """What follows from each step, when something does."""

    purchase_id: str
    points: int


award = Service("bench-award", version="1.0.0")
tell = Service("bench-tell", version="1.0.0")


@award.on(PurchaseCreated, state=Account, by="customer.id")
def note(purchase: PurchaseCreated, account: Account | None) -> Account:
    """Sum up what a customer spent."""
    before = account or Account(purchase.customer.id)
    return Account(before.customer_id, before.purchases + 1, before.spent + purchase.total)


@tell.on(PurchaseCreated, state=Account, by="customer.id")
def note_and_tell(
    purchase: PurchaseCreated, account: Account | None
) -> tuple[Account, PointsGiven]:
    """The same, and say so."""
    return note(purchase, account), PointsGiven(purchase.purchase_id, purchase.total // 100)


SERVICES = {"award": award, "tell": tell}

if __name__ == "__main__":
    from jetmesh import run

    run(SERVICES[sys.argv[1]])
