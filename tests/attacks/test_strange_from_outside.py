"""Whoever need not log in publishes what nobody can read: the pages stay, and it is told.

In a cluster a dashboard that is not ready leaves its Service; who is outside must not have it so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import nats
import pytest
from msgspec import Meta, Struct

from jetmesh import Record, Service, event
from jetmesh.declare import derive
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.finding import Finding
from jetmesh.operate.doctor.survey import Target, survey
from jetmesh.operate.identities import Isolation
from jetmesh.runtime.running import Running
from jetmesh.testing import _load, eventually
from jetmesh.transport.provision import apply, plan
from tests.isolated import Isolated, isolated

WITHIN = 60
ID = "Nats-Msg-Id"
VERSION = "Jetmesh-Event-Version"


class Shop:
    """Purchases come from outside, sales decides, ships what nothing decides; two dashboards."""

    def __init__(self, domain: str) -> None:
        @event(f"{domain}-in.created", key="id")
        class Created(Struct, frozen=True):
            id: str
            total: Annotated[int, Meta(gt=0)]

        @event(f"{domain}-out.shipped", key="id")
        class Shipped(Struct, frozen=True):
            id: str

        class Board:
            def __init__(self) -> None:
                self.seen: list[str] = []

            def apply(self, it: Created | Shipped, _: Record) -> None:
                self.seen.append(it.id)

        self.subject, self.shipped = f"{domain}-in.created", f"{domain}-out.shipped"
        self.stream = f"{domain}-in".upper().replace("-", "_")
        self.sales = Service(f"{domain}-sales")
        self.dashboards = [Service(f"{domain}-{name}") for name in ("business", "customer")]
        for each in self.dashboards:
            each.read_model(Board, events=[Created, Shipped])

        @self.sales.on(Created)
        def ship(it: Created) -> Shipped:
            return Shipped(it.id)

        self.services = [self.sales, *self.dashboards]
        self.topology = derive(self.services)


@dataclass
class Attacked:
    shop: Shop
    guarded: Isolated
    sales: Running
    dashboards: list[Running]

    async def send(self, payload: bytes, headers: Mapping[str, str] | None = None) -> None:
        """As who does not log in."""
        client = await nats.connect(self.guarded.broker.url)
        try:
            subject = f"{self.shop.subject}.k"
            given = dict(headers) if headers else None
            await client.request(subject, payload, timeout=10, headers=given)
        finally:
            await client.close()

    async def skipped(self, count: int) -> None:
        """Until both dashboards have passed over so many."""
        await eventually(
            lambda: all(sum(p.skipped for p in d.projections) >= count for d in self.dashboards),
            within=WITHIN,
            what="dashboards that passed over it",
        )

    async def ready(self, running: Running) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"{running.http.health_url}/readyz")

    async def metrics(self, running: Running) -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{running.http.health_url}/metrics")).text

    async def doctor(self) -> list[Finding]:
        target = Target(self.guarded.settings("operator"), self.shop.topology)
        return [*findings(await survey(target))]

    def forged(self) -> str:
        """The id of an output of the handler there is."""
        return f"{self.shop.sales.name}:ship:{self.shop.stream}:1-1700000000000000000:x"


async def is_well(running: Running) -> None:
    await eventually(lambda: not running.health.problems(), within=WITHIN, what="a service")


@asynccontextmanager
async def attacked(isolation: Isolation, folder: Path, domain: str) -> AsyncIterator[Attacked]:
    shop = Shop(domain)
    with isolated(shop.topology, isolation, folder) as guarded:
        async with await guarded.control() as control:
            await apply(control, await plan(control, shop.topology))
        async with AsyncExitStack() as stack:
            several = []
            for each in shop.services:
                loaded = _load([each], guarded.broker.url, guarded.variables(each.name))
                running = await stack.enter_async_context(Running(each, loaded))
                several.append(running)
            for running in several:
                await running.started
                await is_well(running)
            yield Attacked(shop, guarded, several[0], several[1:])


async def test_an_object_that_is_no_purchase_takes_no_dashboard_out_of_its_service(
    isolation: Isolation, tmp_path: Path, unique: str
) -> None:
    """The very first message, with no honest one before it."""
    async with attacked(isolation, tmp_path, unique) as it:
        for payload in (b'{"seq": 1}', b'{"id": "k", "total": -1}', b"{}"):
            await it.send(payload)
        await it.skipped(3)
        await eventually(lambda: it.sales.consumers[0].stats.dead == 3, within=WITHIN)
        for each in it.dashboards:
            told = await it.ready(each)
            assert told.status_code == 200, told.text
            assert "passed over 3 messages from outside" in told.text
            assert f"{it.shop.stream}:1" in told.text
            counted = 'jetmesh_skipped_total{service="%s",stream="%s"} 3.0'
            assert counted % (each._service.name, it.shop.stream) in await it.metrics(each)
        assert (await it.ready(it.sales)).status_code == 200
        found = await it.doctor()
        assert [each.code for each in found if each.severity == "problem"] == []
        (finding,) = [each for each in found if each.code == "strange-from-outside"]
        assert finding.about == " and ".join(sorted(d.name for d in it.shop.dashboards))
        assert "outside" in finding.sentence
        assert f"stream rmm {it.shop.stream} 1" in finding.remedy
        async with await it.guarded.control() as control:
            for sequence in (1, 2, 3):
                asked = {"seq": sequence, "no_erase": True}  # as the nats CLI does
                await control.api(f"STREAM.MSG.DELETE.{it.shop.stream}", asked)
        for each in it.dashboards:
            for projection in each.projections:
                projection.begin_anew()  # as a restart does
            await is_well(each)
            assert (await it.ready(each)).text == "ready\n"


async def test_an_id_of_a_handler_lays_nothing_to_the_code_of_who_reads(
    isolation: Isolation, tmp_path: Path, unique: str
) -> None:
    """One honest purchase shows that anybody may publish it, before or behind the forged ones."""
    async with attacked(isolation, tmp_path, unique) as it:
        await it.send(b'{"seq": 1}', {ID: it.forged()})
        await it.skipped(1)
        await it.send(b'{"id": "k", "total": 3}')
        for each in it.dashboards:
            await is_well(each)
        await it.send(b'{"seq": 2}', {ID: f"{it.forged()}2"})
        await it.skipped(2)
        for each in it.dashboards:
            assert (await it.ready(each)).status_code == 200
        assert "passed over 2 messages" in (await it.ready(it.dashboards[0])).text


@pytest.mark.parametrize("made_up", ["", "an id of a handler"])
async def test_a_version_that_nobody_knows_does_not_make_a_dashboard_stand_still(
    isolation: Isolation, tmp_path: Path, unique: str, made_up: str
) -> None:
    async with attacked(isolation, tmp_path, unique) as it:
        await it.send(b'{"id": "k", "total": 1}')
        ids = {ID: it.forged()} if made_up else {}
        await it.send(b'{"id": "k"}', {VERSION: "+9", **ids})
        await it.send(b'{"id": "k", "total": 2}')
        await it.skipped(1)
        await eventually(
            lambda: all(sum(p.folded for p in d.projections) >= 2 for d in it.dashboards),
            within=WITHIN,
        )
        for each in it.dashboards:
            told = await it.ready(each)
            assert told.status_code == 200, told.text
            assert "version 9" in told.text


async def test_versions_that_nobody_knows_stand_in_nobodys_way(
    isolation: Isolation, tmp_path: Path, unique: str
) -> None:
    """A handler holds what newer code is to read, and few at a time: not what anybody may claim."""
    async with attacked(isolation, tmp_path, unique) as it:
        for _ in range(40):
            await it.send(b'{"id": "k", "total": 1}', {VERSION: "+9"})
        await it.send(b'{"id": "k", "total": 2}')
        stats = it.sales.consumers[0].stats
        await eventually(lambda: stats.acked == 1, within=WITHIN, what="the honest purchase")
        await eventually(lambda: stats.retried + stats.dead >= 40, within=WITHIN)
        assert stats.newer == 0
