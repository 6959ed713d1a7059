"""A service whose `def` handler takes its time, as a process of its own; variables say how long."""

from __future__ import annotations

import os
import time
from pathlib import Path

from msgspec import Struct

from jetmesh import Policy, Service, event, run
from jetmesh.declare import Duration

DOMAIN = os.environ["CHILD_DOMAIN"]
EFFECTS = Path(os.environ["CHILD_EFFECTS"])
SECONDS = float(os.environ["CHILD_SECONDS"])
THREADS = int(os.environ.get("CHILD_THREADS", "0"))
ACK_WAIT = Duration(2)
"""So short that what nobody prolongs comes again while a test looks."""


@event(f"{DOMAIN}-in.placed", key="order_id")
class Placed(Struct, frozen=True):
    order_id: str


@event(f"{DOMAIN}.worked", key="order_id", decision=f"{DOMAIN}.*")
class Worked(Struct, frozen=True):
    order_id: str


service = Service(f"{DOMAIN}-service")


@service.on(Placed, policy=Policy(timeout=ACK_WAIT, ack_wait=ACK_WAIT), threads=THREADS)
def work(placed: Placed) -> Worked:
    with EFFECTS.open("a") as file:
        file.write(f"{placed.order_id}\n")
    time.sleep(SECONDS)
    return Worked(placed.order_id)


if __name__ == "__main__":
    run(service)
