"""What wraps a Publisher runs around every event, however it is published and by whom."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from msgspec import Struct
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from jetmesh import AsyncCall, ContractViolation, Publisher, Service, Stored, event
from jetmesh.errors import WindowFull
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import Mesh, mesh


class Shop:
    """One event from outside, and the service that makes its stream."""

    def __init__(self, domain: str, **options: Any) -> None:
        @event(f"{domain}.placed", key="order_id")
        class Placed(Struct, frozen=True):
            order_id: str

        self.placed, self.stream = Placed, domain.upper()
        self.service = service = Service(f"{domain}-shop")
        service.publishes(Placed, **options)

        @service.on(Placed)
        def take(placed: Placed) -> None: ...

        @service.web
        def pages(publisher: Publisher) -> list[Route]:
            async def buy(_: object) -> PlainTextResponse:
                told = await publisher.publish(Placed("p-web"))
                return PlainTextResponse(f"{told.sequence}")

            return [Route("/buy", buy, methods=["POST"])]

    async def subjects(self, m: Mesh) -> list[str]:
        return [each.subject.partition(".placed.")[2] for each in await m.stored(self.stream)]


class Refusing(Exception):  # noqa: N818 - only a test's
    """Whoever publishes may not."""


def counting(seen: list[str], name: str) -> Any:
    async def count(call: AsyncCall, event: Any) -> Stored:
        seen.append(f"{name} {event.order_id}")
        stored: Stored = await call()
        seen.append(f"{name} {stored.sequence}")
        return stored

    return count


async def test_the_wraps_run_around_each_event_the_first_one_outermost(
    broker: Broker, unique: str
) -> None:
    shop, seen = Shop(unique), list[str]()
    wraps = [counting(seen, "outer"), counting(seen, "inner")]
    async with mesh(shop.service, url=broker.url) as m:
        nats = NatsSettings(url=broker.url)
        async with Publisher(shop.placed, nats=nats, wrap=wraps) as publisher:
            assert (await publisher.publish(shop.placed("p-1"))).sequence == 1
            assert seen == ["outer p-1", "inner p-1", "inner 1", "outer 1"]
            told = publisher.publish_nowait(shop.placed("p-2"))
            await publisher.flush()
            assert (await told).sequence == 2
        assert await shop.subjects(m) == ["p-1", "p-2"]
    assert seen[4:] == ["outer p-2", "inner p-2", "inner 2", "outer 2"]


async def test_what_a_wrap_raises_is_raised_and_nothing_is_sent(
    broker: Broker, unique: str
) -> None:
    async def refuse(_: AsyncCall, __: Struct) -> Stored:
        raise Refusing

    shop = Shop(unique)
    async with mesh(shop.service, url=broker.url) as m:
        nats = NatsSettings(url=broker.url)
        async with Publisher(shop.placed, nats=nats, wrap=[refuse]) as publisher:
            with pytest.raises(Refusing):
                await publisher.publish(shop.placed("p-1"))
            told = publisher.publish_nowait(shop.placed("p-2"))
            with pytest.raises(Refusing):
                await told
        assert await shop.subjects(m) == []


async def test_a_contract_is_checked_within_the_wraps(broker: Broker, unique: str) -> None:
    shop, seen = Shop(unique), list[str]()
    no_text: Any = 7
    async with mesh(shop.service, url=broker.url):
        nats = NatsSettings(url=broker.url)
        wraps = [counting(seen, "outer")]
        async with Publisher(shop.placed, nats=nats, wrap=wraps) as publisher:
            with pytest.raises(ContractViolation):
                await publisher.publish(shop.placed(no_text))
    assert seen == ["outer 7"]


async def test_the_window_counts_what_waits_in_a_wrap(broker: Broker, unique: str) -> None:
    door = asyncio.Event()

    async def wait(call: AsyncCall, _: Struct) -> Stored:
        await door.wait()
        stored: Stored = await call()
        return stored

    shop = Shop(unique)
    async with mesh(shop.service, url=broker.url) as m:
        nats = NatsSettings(url=broker.url)
        async with Publisher(shop.placed, nats=nats, window=2, wrap=[wait]) as publisher:
            publisher.publish_nowait(shop.placed("p-1"))
            publisher.publish_nowait(shop.placed("p-2"))
            with pytest.raises(WindowFull, match="2 events are on their way"):
                publisher.publish_nowait(shop.placed("p-3"))
            door.set()
        assert sorted(await shop.subjects(m)) == ["p-1", "p-2"]


async def test_cancelling_ends_the_wrap_and_not_the_sending(broker: Broker, unique: str) -> None:
    shop, seen = Shop(unique), list[str]()
    async with mesh(shop.service, url=broker.url) as m:
        nats = NatsSettings(url=broker.url)
        wraps = [counting(seen, "outer")]
        async with Publisher(shop.placed, nats=nats, wrap=wraps) as publisher:
            publishing = asyncio.ensure_future(publisher.publish(shop.placed("p-1")))
            await asyncio.sleep(0)
            publishing.cancel()
        assert await shop.subjects(m) == ["p-1"]
    assert seen == ["outer p-1"]


async def test_a_services_publisher_has_the_wraps_that_it_declares(
    broker: Broker, unique: str
) -> None:
    seen: list[str] = []
    shop = Shop(unique, wrap=[counting(seen, "page")])
    async with mesh(shop.service, url=broker.url) as m, httpx.AsyncClient() as client:
        answer = await client.post(f"{m.running[shop.service.name].http.url}/buy")
        assert answer.text == "1"
        assert await shop.subjects(m) == ["p-web"]
    assert seen == ["page p-web", "page 1"]
