"""Services at rest: nothing ticks, and whatever happens then is noticed all the same (ADR-0031)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from msgspec import Struct
from starlette.responses import PlainTextResponse

from jetmesh import Service, derive, event
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.health import Health
from jetmesh.runtime.http import HttpServer
from jetmesh.runtime.listener import Listener
from jetmesh.runtime.running import Running
from jetmesh.settings import HttpSettings, NatsSettings
from jetmesh.testing import Mesh, eventually, mesh
from jetmesh.transport import pull
from jetmesh.transport.provision import apply, plan
from tests.integration.network import Proxy
from tests.integration.planes import Fate, both, make_stream, settings_of

_REST_SECONDS: Final = 30.0
"""Tests wait no longer for it; a request lasts for the least that its heartbeats allow."""


class Resting:
    """A service with one handler, whose durables are at rest."""

    def __init__(self, domain: str) -> None:
        @event(f"{domain}.placed", key="id")
        class Placed(Struct, frozen=True):
            id: str

        self.stream, self.placed, self.given = domain.upper(), Placed, list[str]()
        self.service = Service(f"{domain}-service")

        @self.service.on(Placed)
        def take(placed: Placed) -> None:
            self.given.append(placed.id)

        self.durable = f"{self.stream}.{domain}-service-take"


@asynccontextmanager
async def resting(
    broker: Broker, domain: str, monkeypatch: pytest.MonkeyPatch, provision: str
) -> AsyncIterator[tuple[Resting, Mesh, Running]]:
    monkeypatch.setattr(pull, "EXPIRES_SECONDS", 2 * pull.REST_HEARTBEAT_SECONDS)
    declared = Resting(domain)
    settings = {"JETMESH__PROVISION": provision}
    async with mesh(declared.service, url=broker.url):  # somebody applies
        pass
    async with mesh(declared.service, url=broker.url, settings=settings) as m:
        running = m.running[declared.service.name]
        (consumer,) = running.consumers
        await eventually(
            lambda: consumer.inflow.rests and consumer.lane.rests,
            within=_REST_SECONDS,
            what="a service at rest",
        )
        assert running._plane._rests
        yield declared, m, running


async def test_what_is_stored_at_rest_is_handled_and_looked_at_as_ever(
    broker: Broker, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with resting(broker, unique, monkeypatch, "verify") as (declared, m, running):
        await m.publish(declared.placed("p-1"))
        await eventually(lambda: declared.given == ["p-1"], what="the work")
        assert not running.consumers[0].inflow.rests
        assert not running.health.problems()


async def test_a_durable_that_is_deleted_at_rest_is_missed(
    broker: Broker, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with resting(broker, unique, monkeypatch, "verify") as (declared, m, running):
        await m.control.api(f"CONSUMER.DELETE.{declared.durable}")
        await eventually(
            lambda: any("jetmesh apply" in each for each in running.health.problems()),
            within=20,
            what="not ready",
        )
        topology = derive([declared.service], audited=False)
        await apply(m.control, await plan(m.control, topology))
        await eventually(lambda: not running.health.problems(), within=20, what="ready")


async def test_a_durable_that_is_deleted_at_rest_is_made_again_in_development(
    broker: Broker, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with resting(broker, unique, monkeypatch, "apply") as (declared, m, _):
        await m.control.api(f"CONSUMER.DELETE.{declared.durable}")
        await m.publish(declared.placed("p-1"))
        await eventually(lambda: declared.given == ["p-1"], within=20, what="the work")


async def test_a_connection_that_falls_silent_at_rest_is_left(own_broker: Broker) -> None:
    async with Proxy(own_broker.port) as proxy:
        nats = NatsSettings(url=f"nats://127.0.0.1:{proxy.port}")
        async with both(nats) as (plane, _):
            assert plane._rests
            proxy.cut("swallow")
            await eventually(lambda: "silent" in plane.problem, within=20, what="silence")
            proxy.heal()
            await eventually(lambda: not plane.problem, within=20, what="another connection")


async def test_a_connection_on_which_something_waits_is_not_at_rest(
    own_broker: Broker, unique: str
) -> None:
    async with both(settings_of(own_broker)) as (plane, control):
        await make_stream(control, unique.upper(), f"{unique}.>", allow_direct=True)
        fate, rests = Fate(), [plane._rests]
        plane.publish(f"{unique}.x".encode(), b"NATS/1.0\r\n\r\n", b"{}", fate)
        rests.append(plane._rests)
        assert await asyncio.wait_for(fate.told, 10) == "stored"
        rests.append(plane._rests)
        looking = plane.lookups.last(unique.upper(), f"{unique}.x")
        rests.append(plane._rests)
        await looking
        rests.append(plane._rests)
        assert rests == [True, False, True, False, True]


async def test_a_web_server_that_nobody_asks_wakes_nobody_and_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def counted(seconds: float, *arguments: Any) -> Any:
        slept.append(seconds)
        return await sleep(seconds, *arguments)

    listener = Listener(PlainTextResponse("here"), "127.0.0.1", 0, setting="http.port", most=8)
    monkeypatch.setattr(asyncio, "sleep", counted)
    listener.start()
    await sleep(0.5)
    assert not slept
    await asyncio.wait_for(listener.stop(), 10)


async def test_every_answer_has_the_time_although_no_clock_ticks() -> None:
    server = HttpServer(HttpSettings(port=0), Health())
    server.start()
    address = urlsplit(server.url)

    async def answer() -> bytes:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        with contextlib.closing(writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return await asyncio.wait_for(reader.read(), 10)

    lines = (await answer()).split(b"\r\n")
    (date,) = [line for line in lines if line.lower().startswith(b"date: ")]
    told = parsedate_to_datetime(date.partition(b": ")[2].decode())
    assert abs((datetime.now(UTC) - told).total_seconds()) < 60
    await server.stop()
