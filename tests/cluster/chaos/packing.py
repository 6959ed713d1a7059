"""A service that exists only here: it dies of marked purchases, as a segfault would.

It shows two things at once: what a poison does, and that one more service over the same events
changes nothing for the others. `python -m tests.cluster.chaos.packing` runs it.
"""

from __future__ import annotations

import os
from typing import Final

from msgspec import Struct

from jetmesh import Policy, Service, event, run
from shop_contracts import PurchaseCreated

POISON: Final = "poison"
"""The id of the customer whose purchases kill the process."""


@event("parcels.packed", key="purchase_id", decision="parcels.*")
class ParcelPacked(Struct, frozen=True, kw_only=True):
    """Somebody packed what was bought."""

    purchase_id: str
    lines: int


service = Service("packing", version="1.0.0", description="Packs, and dies of poison.")


@service.on(PurchaseCreated, policy=Policy(attempts=2, batch=256))
def pack(purchase: PurchaseCreated) -> ParcelPacked:
    """Pack it, unless it is the one that kills."""
    if purchase.customer.id == POISON:
        os._exit(139)  # no exception, no cleaning up: as after SIGSEGV
    return ParcelPacked(purchase_id=purchase.purchase_id, lines=len(purchase.items))


if __name__ == "__main__":
    run(service)
