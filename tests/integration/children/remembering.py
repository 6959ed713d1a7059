"""A service that remembers, as a process of its own; it may die between any two words."""

from __future__ import annotations

import os
import random

from deadly import run_deadly  # type: ignore[import-not-found] # it stands beside the script that runs
from msgspec import Struct

from jetmesh import Policy, Service, event, state
from jetmesh.declare import Duration

DOMAIN = os.environ["CHILD_DOMAIN"]
FAILS = float(os.environ.get("CHILD_FAILS", "0"))
EACH = 3


@event(f"{DOMAIN}-in.captured", key="purchase_id")
class Captured(Struct, frozen=True):
    purchase_id: str
    customer_id: str


@event(f"{DOMAIN}-in.returned", key="purchase_id")
class Returned(Struct, frozen=True):
    purchase_id: str
    customer_id: str


@event(f"{DOMAIN}-tiers.reached", key="customer_id")
class TierReached(Struct, frozen=True):
    customer_id: str
    tier: int


@event(f"{DOMAIN}-thanks.due", key="purchase_id")
class ThanksDue(Struct, frozen=True):
    purchase_id: str


@state(f"{DOMAIN}.accounts", key="customer_id", history=1000)
class Account(Struct, frozen=True):
    customer_id: str
    points: int = 0
    returned: int = 0


service = Service(f"{DOMAIN}-loyalty")
AGAIN = Policy(
    attempts=50,
    backoff=Duration(0.01),
    backoff_cap=Duration(0.05),
    timeout=Duration(3),
    ack_wait=Duration(3),
)


@service.on(Captured, policy=AGAIN, state=Account, by="customer_id")
def award(
    captured: Captured, account: Account | None
) -> tuple[Account, list[TierReached | ThanksDue]]:
    may_fail()
    before = account or Account(captured.customer_id)
    after = Account(before.customer_id, before.points + 1, before.returned)
    told: list[TierReached | ThanksDue] = [ThanksDue(captured.purchase_id)]
    if not after.points % EACH:
        told.append(TierReached(after.customer_id, after.points // EACH))
    return after, told


@service.on(Returned, policy=AGAIN, state=Account, by="customer_id")
def take_back(returned: Returned, account: Account | None) -> Account:
    may_fail()
    before = account or Account(returned.customer_id)
    return Account(before.customer_id, before.points, before.returned + 1)


def may_fail() -> None:
    if random.random() < FAILS:  # noqa: S311 - no secret
        raise ValueError("not this time")


if __name__ == "__main__":
    run_deadly(service)
