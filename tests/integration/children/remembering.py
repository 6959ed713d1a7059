"""A service that remembers, as a process of its own; it may die between any two words."""

from __future__ import annotations

import os
import random
import signal
from typing import Any

from msgspec import Struct

from jetmesh import Policy, Service, event, run, state
from jetmesh.declare import Duration
from jetmesh.runtime import running
from jetmesh.runtime.message.runner import HandlerRunner
from jetmesh.runtime.tracing.parts import Parts
from jetmesh.transport.dataplane import DataPlane

DOMAIN = os.environ["CHILD_DOMAIN"]
FAILS = float(os.environ.get("CHILD_FAILS", "0"))
DEADLINESS = float(os.environ.get("CHILD_DEADLINESS", "0"))
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


class Deadly(DataPlane):
    """Kills its process before or after anything that it sends."""

    def __init__(self, *about: Any, **more: Any) -> None:
        super().__init__(*about, **more)
        publish = self.publish

        def deadly(*message: Any) -> None:
            may_die()
            publish(*message)
            may_die()

        self.publish = deadly  # type: ignore[assignment] # it takes whatever publish takes

    def ack(self, reply: bytes) -> None:
        may_die()
        super().ack(reply)
        may_die()


def may_die() -> None:
    if random.random() < DEADLINESS:  # noqa: S311 - no secret
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if DEADLINESS:
        running.parts_for = lambda *_: Parts(Deadly, HandlerRunner)  # type: ignore[attr-defined] # for this process alone
    run(service)
