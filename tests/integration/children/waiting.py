"""A service with deadlines, as a process of its own; it may die between any two words."""

from __future__ import annotations

import os

from deadly import run_deadly  # type: ignore[import-not-found] # it stands beside the script that runs
from msgspec import Struct

from jetmesh import Cancel, Later, Policy, Service, event, seconds, state
from jetmesh.declare import Duration

DOMAIN = os.environ["CHILD_DOMAIN"]


@event(f"{DOMAIN}-in.opened", key="id")
class Opened(Struct, frozen=True):
    id: str
    within: float


@event(f"{DOMAIN}-in.paid", key="id")
class Paid(Struct, frozen=True):
    id: str


@event(f"{DOMAIN}-out.overdue", key="id")
class Overdue(Struct, frozen=True):
    id: str


@event(f"{DOMAIN}-nudges.due", key="id")
class NudgeDue(Struct, frozen=True):
    id: str


@state(f"{DOMAIN}.bills", key="id", history=100)
class Bill(Struct, frozen=True):
    id: str
    paid: bool = False
    overdue: int = 0


service = Service(f"{DOMAIN}-desk")
AGAIN = Policy(
    attempts=50,
    backoff=Duration(0.01),
    backoff_cap=Duration(0.05),
    timeout=Duration(3),
    ack_wait=Duration(3),
)


@service.on(Opened, policy=AGAIN, state=Bill)
def wait(opened: Opened, bill: Bill | None) -> tuple[Bill, Later[Overdue] | None]:
    if bill is not None and bill.paid:
        return bill, None
    return Bill(opened.id), Later(Overdue(opened.id), after=seconds(opened.within))


@service.on(Paid, policy=AGAIN, state=Bill)
def settle(paid: Paid, bill: Bill | None) -> tuple[Bill, Cancel[Overdue]]:
    return Bill(paid.id, paid=True, overdue=bill.overdue if bill else 0), Cancel(Overdue, paid.id)


@service.on(Overdue, policy=AGAIN, state=Bill)
def expire(overdue: Overdue, bill: Bill | None) -> Bill:
    before = bill or Bill(overdue.id)
    return Bill(before.id, before.paid, before.overdue + 1)


@service.on(Opened, policy=AGAIN)
def nudge(opened: Opened) -> Later[NudgeDue]:
    return Later(NudgeDue(opened.id), after=seconds(opened.within))


if __name__ == "__main__":
    run_deadly(service)
