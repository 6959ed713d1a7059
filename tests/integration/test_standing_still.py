"""A handler that stands still, with more on its lane than it may have in hand, and its neighbour.

Each handler has a durable of its own on its service's lane stream. The last test shows what one
for all of them would do (ADR-0031).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import time_ns
from typing import Any, Final

import pytest
from msgspec import Struct

from jetmesh import Delivery, Policy, Service, event
from jetmesh.declare import Duration
from jetmesh.errors import Unavailable
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.lanes import Origin
from jetmesh.protocol.streams import lane_stream
from jetmesh.protocol.subjects import lane_subject, lanes_of
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.planes import both, make_durable, make_stream, publish, settings_of

_MOST: Final = 8
"""What may be pending on a durable."""
_ON_LANE: Final = 5 * _MOST


class Two:
    """A service whose handler `first` stands still until it is let go, beside `second`."""

    def __init__(self, domain: str, still: Callable[[Two], Any]) -> None:
        @event(f"{domain}.placed", key="id")
        class Placed(Struct, frozen=True):
            id: str

        self.domain, self.stream, self.placed = domain, domain.upper(), Placed
        self.go = asyncio.Event()
        self.begun = 0
        self.done: set[str] = set()
        self.attempts: dict[str, int] = {}
        self.service = Service(f"{domain}-service")
        policy = Policy(
            attempts=5,
            backoff=Duration(0.02),
            concurrency=_MOST,
            max_ack_pending=_MOST,
        )

        @self.service.on(Placed, policy=policy)
        async def first(placed: Placed) -> None:
            self.begun += 1
            if not self.go.is_set():
                await still(self)
            self.done.add(placed.id)

        @self.service.on(Placed, policy=policy)
        async def second(placed: Placed, delivery: Delivery) -> None:
            self.attempts[placed.id] = delivery.attempt
            if delivery.attempt < 3:  # the first retry waits in place, the second one on the lane
                raise ValueError("not yet")


async def _is_away(_: Two) -> None:
    raise Unavailable("its dependency is away")


async def _is_slow(two: Two) -> None:
    await two.go.wait()


@asynccontextmanager
async def standing_still(
    broker: Broker, domain: str, still: Callable[[Two], Any]
) -> AsyncIterator[tuple[Two, Mesh]]:
    """Both at work, and much on the lane of the first one."""
    two = Two(domain, still)
    async with mesh(two.service, url=broker.url) as m:
        for number in range(_ON_LANE):
            subject = lane_subject(two.service.name, "first", f"old-{number}")
            origin = Origin(f"{domain}.placed.old-{number}", two.stream, str(number), time_ns())
            payload = b'{"id":"old-%d"}' % number
            await m.control.publish(subject, payload, origin.headers())
        await eventually(lambda: two.begun, what="the first one stands still")
        yield two, m
        two.go.set()


@pytest.mark.parametrize("still", [_is_away, _is_slow])
async def test_a_handler_that_stands_still_holds_back_no_retry_of_another(
    broker: Broker, unique: str, still: Callable[[Two], Any]
) -> None:
    async with standing_still(broker, unique, still) as (two, m):
        names = [f"new-{number}" for number in range(2 * _MOST)]
        for name in names:
            await m.publish(two.placed(name))
        await eventually(
            lambda: all(two.attempts.get(name) == 3 for name in names),
            within=30,
            what="each retry of the second one",
        )
        assert not two.done, "the first one stands still all the time"
        two.go.set()
        old = {f"old-{number}" for number in range(_ON_LANE)}
        await eventually(lambda: two.done >= old, within=30, what="the rest, when it goes on")


@pytest.mark.parametrize("way", ["held", "put off"])
async def test_one_durable_of_a_service_would_be_filled_by_one_of_its_handlers(
    broker: Broker, unique: str, way: str
) -> None:
    """Held in hand or put off with a delay, both keep their place in max_ack_pending."""
    stream = lane_stream(unique)
    async with both(settings_of(broker)) as (plane, control):
        await make_stream(control, stream, lanes_of(unique))
        await make_durable(
            control,
            stream,
            "both",
            ack_wait=60,
            max_ack_pending=_MOST,
            filter_subjects=[lane_subject(unique, "*", "*")],
        )
        for number in range(_MOST):
            await publish(plane, lane_subject(unique, "first", str(number)))
        await publish(plane, lane_subject(unique, "second", "0"))
        came: list[bytes] = []

        def arrives(subject: bytes, reply: bytes, *_: bytes) -> None:
            came.append(subject.split(b".")[2])
            if way == "put off":
                plane.retry(reply, 60)
                pull.settled()

        pull = plane.inflow(stream, "both", limit=4 * _MOST, on_delivery=arrives)
        pull.start()

        async def is_full() -> bool:
            info = await control.api(f"CONSUMER.INFO.{stream}.both")
            asked = info["num_waiting"] > 0
            return asked and (info["num_ack_pending"], info["num_pending"]) == (_MOST, 1)

        await eventually(is_full, what="a durable that is asked and delivers nothing")
        await plane.flush()
        assert came == [b"first"] * _MOST
        plane.drop(pull)
