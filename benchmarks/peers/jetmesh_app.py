"""The thing itself: services as any user writes them, run the way any service is run.

Every feature is on: settings, provisioning, metrics, health, discovery, logs, guards, dead
letters. `python -m peers.jetmesh_app process|consume|effect|blind|board` runs one of them.
"""

from __future__ import annotations

import sys

from msgspec import Struct

from jetmesh import Record, Service, event
from peers.purchases import OrderRejected, OrderValidated, PurchaseCreated, decide

event("purchases.created", key="purchase_id")(PurchaseCreated)
event("orders.validated", key="purchase_id", decision="orders.*")(OrderValidated)
event("orders.rejected", key="purchase_id", decision="orders.*")(OrderRejected)

process = Service("bench-process", version="1.0.0")
process.on(PurchaseCreated)(decide)

consume = Service("bench-consume", version="1.0.0")


@consume.on(PurchaseCreated)
def note(_purchase: PurchaseCreated) -> None:
    """Take note and do nothing: what is left is the cost of being told."""


effect = Service("bench-effect", version="1.0.0")


@effect.on(PurchaseCreated)
async def act(purchase: PurchaseCreated) -> OrderValidated | OrderRejected:
    """Decide as an effect would: with a look beforehand whether it is decided already."""
    return decide(purchase)


@event("seen.purchase", key="purchase_id")
class PurchaseSeen(Struct, frozen=True):
    """A purchase came by; no decision."""

    purchase_id: str
    lines: int


blind = Service("bench-blind", version="1.0.0")


@blind.on(PurchaseCreated)
async def see(purchase: PurchaseCreated) -> PurchaseSeen:
    """The same way, without a decision to look for."""
    decide(purchase)
    return PurchaseSeen(purchase.purchase_id, 1)


class Board:
    """What a dashboard folds: the last known outcome of every order."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}

    def apply(self, order: OrderValidated | OrderRejected, record: Record) -> None:
        """Fold one outcome; the same one again changes nothing."""
        del record
        total = order.total if isinstance(order, OrderValidated) else 0
        self.totals[order.purchase_id] = total


board = Service("bench-board", version="1.0.0")
board.read_model(Board, events=[OrderValidated, OrderRejected])

SERVICES = {s.name.removeprefix("bench-"): s for s in (process, consume, board, effect, blind)}

if __name__ == "__main__":
    from jetmesh import run

    run(SERVICES[sys.argv[1]])
