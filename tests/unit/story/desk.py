"""A service with a decision, an effect and a state, for stories."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from jetmesh import Delivery, Duration, Policy, Rehearsed, Service, event, state


@event("story-orders.placed", key="order_id")
class Placed(Struct, frozen=True):
    order_id: str
    customer_id: str = "c-1"
    amount: int = 60


@event("story-bills.paid", key="order_id", decision="story-bills.*")
class Paid(Struct, frozen=True):
    order_id: str
    customer_id: str
    amount: int


@event("story-bills.refused", key="order_id", decision="story-bills.*")
class Refused(Struct, frozen=True):
    order_id: str


@event("story-tiers.reached", key="customer_id")
class TierReached(Struct, frozen=True):
    customer_id: str
    tier: int


@state("story-desk.accounts", key="customer_id")
class Account(Struct, frozen=True):
    """What is known of one customer."""

    customer_id: str
    points: int = 0


class Gateway:
    """Charges for real."""

    async def charge(self, order_id: str, amount: int) -> bool:
        raise AssertionError(f"the real gateway was asked for {amount} of {order_id}")


@dataclass
class FakeGateway(Gateway):
    """Charges nobody, and fails as often as it is told to."""

    failures: list[BaseException] = field(default_factory=list)
    charged: list[str] = field(default_factory=list)

    async def charge(self, order_id: str, amount: int) -> bool:
        if self.failures:
            raise self.failures.pop(0)
        self.charged.append(order_id)
        return amount < 1000


class Ledger:
    """What was paid, by order."""

    def __init__(self) -> None:
        self.paid: dict[str, int] = {}

    def apply(self, event: Paid, _record: Any) -> None:
        self.paid[event.order_id] = event.amount


POLICY = Policy(attempts=3, backoff=Duration(1), backoff_cap=Duration(60), ack_wait=Duration(30))

billing = Service("story-billing")


@billing.resource
async def gateway() -> AsyncIterator[Gateway]:
    yield Gateway()


@billing.rehearsal
def usual(_past: Rehearsed) -> Gateway:
    return FakeGateway()


@billing.on(Placed, policy=POLICY)
async def charge(placed: Placed, gateway: Gateway) -> Paid | Refused:
    if await gateway.charge(placed.order_id, placed.amount):
        return Paid(placed.order_id, placed.customer_id, placed.amount)
    return Refused(placed.order_id)


desk = Service("story-desk")
desk.read_model(Ledger, events=[Paid])


@desk.on(Paid, state=Account, by="customer_id")
def award(paid: Paid, account: Account | None) -> tuple[Account, TierReached | None]:
    before = account.points if account else 0
    after = Account(paid.customer_id, before + paid.amount)
    rose = after.points // 100 > before // 100
    return after, TierReached(after.customer_id, after.points // 100) if rose else None


def counting() -> Service:
    """A service that remembers what it should not."""
    service, count = Service("story-counting"), [0]

    @service.on(Placed)
    def number(placed: Placed, delivery: Delivery) -> TierReached:
        count[0] += 1
        return TierReached(placed.customer_id, count[0])

    return service
