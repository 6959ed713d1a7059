"""A service that keeps order, as a process of its own; it may die between any two words."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path
from time import monotonic
from typing import Any

from msgspec import Struct

from jetmesh import Policy, Service, event, run
from jetmesh.declare import Duration
from jetmesh.runtime import running
from jetmesh.runtime.message.runner import HandlerRunner
from jetmesh.runtime.tracing.parts import Parts
from jetmesh.transport.dataplane import DataPlane

DOMAIN = os.environ["CHILD_DOMAIN"]
EFFECTS = Path(os.environ["CHILD_EFFECTS"])
FAILS = float(os.environ.get("CHILD_FAILS", "0"))
DEADLINESS = float(os.environ.get("CHILD_DEADLINESS", "0"))
BAD = os.environ.get("CHILD_BAD", "")
"""A key of which nothing can be handled."""
AGAIN = Policy(
    attempts=50 if not BAD else 2,
    backoff=Duration(0.01),
    backoff_cap=Duration(0.05),
    timeout=Duration(3),
    ack_wait=Duration(3),
)


@event(f"{DOMAIN}-in.moved", key="parcel_id")
class Moved(Struct, frozen=True):
    parcel_id: str
    number: int


@event(f"{DOMAIN}-out.followed", key="parcel_id")
class Followed(Struct, frozen=True):
    parcel_id: str
    number: int


service = Service(f"{DOMAIN}-tracking")
watching: list[asyncio.Task[None]] = []


@service.on(Moved, policy=AGAIN, ordered=True)
async def follow(moved: Moved) -> Followed:
    if not watching:
        watching.append(asyncio.create_task(watch()))
    tell("begin", moved)
    await asyncio.sleep(random.random() * 0.004)  # noqa: S311 - no secret
    if moved.parcel_id == BAD or random.random() < FAILS:  # noqa: S311 - no secret
        raise ValueError("not this time")
    tell("end", moved)
    return Followed(moved.parcel_id, moved.number)


async def watch() -> None:
    """Tell when this process stood still for so long that a delivery may be another one's."""
    while True:
        before = monotonic()
        await asyncio.sleep(0.1)
        if (stood := monotonic() - before) > AGAIN.ack_wait / 3:
            write(f"stood,{os.getpid()},{stood:.0f}")


def tell(what: str, moved: Moved) -> None:
    write(f"{what},{moved.parcel_id},{moved.number}")


def write(line: str) -> None:
    """One line, written at once by each process."""
    with EFFECTS.open("ab", buffering=0) as effects:
        effects.write(f"{line}\n".encode())


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
