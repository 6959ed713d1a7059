"""A service that a test runs as a process of its own; variables tell it what to do wrong."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from jetmesh import Policy, Record, Service, event, run
from jetmesh.declare import Duration

DOMAIN = os.environ["CHILD_DOMAIN"]
EFFECTS = Path(os.environ["CHILD_EFFECTS"])
DOES = os.environ.get("CHILD_DOES", "")
SECRET = "customer@example.test"  # noqa: S105 - what must not appear anywhere
POLICY = Policy(attempts=2, backoff=Duration(0.05))


@event(f"{DOMAIN}-in.placed", key="order_id")
class Placed(Struct, frozen=True):
    order_id: str
    email: Annotated[str, Meta(extra={"sensitive": True})] = ""
    token: Annotated[str, Meta(extra={"sensitive": True})] = ""


@event(f"{DOMAIN}.counted", key="order_id", decision=f"{DOMAIN}.*")
class Counted(Struct, frozen=True):
    order_id: str


@event(f"{DOMAIN}-log.worked", key="order_id")
class Worked(Struct, frozen=True):
    order_id: str


class Board:
    def __init__(self) -> None:
        if DOES == "model fails":
            raise ValueError(f"no board for {SECRET}")

    def apply(self, event: object, record: Record) -> None:
        """Keep nothing."""


class Gateway:
    """What the resource supplies."""


service = Service(f"{DOMAIN}-service")
service.read_model(Board, events=[Counted])


@service.resource
async def gateway() -> AsyncIterator[Gateway]:
    if DOES == "resource fails":
        raise ConnectionError(f"no gateway for {SECRET}")
    if DOES == "resource exits":
        raise SystemExit(7)
    yield Gateway()
    if DOES == "closing fails":
        raise ConnectionError("the gateway hung up")
    if DOES == "closing is cancelled":
        raise asyncio.CancelledError  # as of a task that it cancelled and awaits
    if DOES == "closing exits":
        raise SystemExit(7)


@service.web
def pages(board: Board) -> list[Any]:
    if DOES == "page fails":
        raise LookupError(f"no template for {SECRET}")
    return ["no route"] if DOES == "page is no route" else []


@service.on(Placed, policy=POLICY)
def count(placed: Placed) -> Counted:
    if DOES == "blocks":
        note(placed)
        time.sleep(60)
    if DOES == "dies inline":
        die_of(placed)
    if placed.email:
        raise ValueError(f"cannot write to {placed.email} with {placed.token}")
    return Counted(placed.order_id)


@service.on(Placed, policy=POLICY)
async def work(placed: Placed, gateway: Gateway) -> Worked:
    if DOES != "blocks":
        note(placed)
    if DOES == "dies":
        die_of(placed)
    if DOES == "a task exits":
        started = asyncio.create_task(exiting())
        await asyncio.gather(started)
    if DOES == "hangs":
        await asyncio.sleep(60)
    while DOES == "will not be cancelled":
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(5 if DOES == "is slow" else 0.005)
    return Worked(placed.order_id)


async def exiting() -> None:
    raise SystemExit(7)


def die_of(poison: Placed) -> None:
    """What a segmentation fault does, or the kernel when memory runs out."""
    if poison.order_id.startswith("poison"):
        os._exit(77)


def note(placed: Placed) -> None:
    """An effect that can be counted."""
    with EFFECTS.open("a") as file:
        file.write(f"{placed.order_id}\n")


if __name__ == "__main__":
    run(service)
