"""Who cannot take what is stored is not well: `/readyz`, `doctor` and the counters say so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct, defstruct

from jetmesh import Record, Service, event
from jetmesh.cli.commands.doctor import exit_code
from jetmesh.declare import derive
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.survey import Target, survey
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.running import Running
from jetmesh.settings import NatsSettings
from jetmesh.testing import _load, eventually, mesh
from tests.integration.renamed import Shop, renamed, stored

ORDERS = 12


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """One for each test: the mesh's own streams are everyone's."""
    with Broker(tmp_path / "nats") as started:
        yield started


@asynccontextmanager
async def started(
    broker: Broker, *services: Service, settings: Mapping[str, str] | None = None
) -> AsyncIterator[list[Running]]:
    """Services that need not become ready."""
    loaded = _load(services, broker.url, settings or {})
    several = [Running(service, loaded) for service in services]
    try:
        for each in several:
            await each.__aenter__()
            await each.started
        yield several
    finally:
        for each in several:
            await each.__aexit__(None, None, None)


async def answer(running: Running, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"{running.http.health_url}{path}")


async def test_after_a_rename_nobody_who_reads_is_ready_and_the_doctor_has_an_exit_code(
    broker: Broker, unique: str
) -> None:
    before = Shop(unique)
    await stored(broker, before, ORDERS, "ada@example.org")
    after = renamed(unique)
    async with started(broker, after.payments, after.shown) as (payments, shown):
        await eventually(
            lambda: payments.consumers[0].stats.dead == ORDERS, what="a letter for each order"
        )
        await eventually(
            lambda: shown.projections[0].skipped == ORDERS and shown.projections[0].caught_up,
            what="a board that has read everything",
        )
        for running in (payments, shown):
            told = await answer(running, "/readyz")
            assert told.status_code == 503
            assert f"could not take {ORDERS} stored events, the first is {before.stream}:1 (" in (
                told.text
            )
            assert "checked_at" in told.text
            assert "example.org" not in told.text
        metrics = (await answer(payments, "/metrics")).text
        assert f'handler="charge",service="{after.payments.name}"}} {ORDERS}.0' in "".join(
            line for line in metrics.splitlines() if line.startswith("jetmesh_unreadable_total")
        )
        assert "jetmesh_skipped_total{" in (await answer(shown, "/metrics")).text
        topology = derive(after.services, audited=False)
        facts = await survey(Target(NatsSettings(url=broker.url), topology))
        found = findings(facts)
        problems = {each.code: each for each in found if each.severity == "problem"}
        assert {"read-model-skips", "cannot-read", "dead-letters-unreadable"} <= problems.keys()
        assert exit_code(facts, found, strict=False) == 1
        assert problems["read-model-skips"].about == after.shown.name
        assert problems["cannot-read"].about == f"{after.payments.name}.charge"
        assert f"{before.stream}:1" in problems["cannot-read"].evidence[0]
        assert "example.org" not in str(found)


@pytest.mark.parametrize(("allowed", "code"), [(ORDERS - 1, 503), (ORDERS, 200), (-1, 200)])
async def test_who_accepts_so_many_is_ready_with_so_many(
    broker: Broker, unique: str, allowed: int, code: int
) -> None:
    await stored(broker, Shop(unique), ORDERS)
    after = renamed(unique)
    settings = {"JETMESH__MAY_SKIP": str(allowed)}
    async with started(broker, after.payments, after.shown, settings=settings) as several:
        payments, shown = several
        await eventually(lambda: payments.consumers[0].stats.dead == ORDERS, what="the letters")
        await eventually(lambda: shown.projections[0].caught_up, what="the board")
        for running in several:
            told = await answer(running, "/readyz")
            assert told.status_code == code, told.text


async def test_what_was_never_an_event_takes_no_readiness_away(broker: Broker, unique: str) -> None:
    shop = Shop(unique)
    async with mesh(*shop.services, url=broker.url) as m:
        for payload in (b"no json", b"", b"[]", b"<order/>", b"\x1f\x8b\x00"):
            await m.publish(shop.subject, payload)
        await m.publish(f"{unique}-in.placed", b'{"no": "placed"}')
        await m.publish(shop.placed("p-1"))
        await m.settled()
        shown = m.running[shop.shown.name].projections[0]
        await eventually(lambda: shown.folded == 1, what="the order")
        assert (shown.skipped, shown.unread.count) == (5, 0)
        for running in m.running.values():
            assert running.health.problems() == []


async def test_a_board_without_an_event_that_the_stream_holds_is_not_ready(
    broker: Broker, unique: str
) -> None:
    """Of a decision, which only its owner may publish: it may be an event of another version."""
    shop = Shop(unique)
    async with mesh(shop.validation, shop.shown, url=broker.url) as m:
        await m.publish(shop.subject, b'{"order_id": "p-1"}')
        shown = m.running[shop.shown.name]
        await eventually(shown.health.problems, what="not ready any more")
        assert "validated_at" in shown.health.problems()[0]


def shipping(domain: str, field: str) -> tuple[Any, Service, Service]:
    """What a handler ships, and no decision guards, with this field; its board."""

    @event(f"{domain}-in.placed", key="no")
    class Placed(Struct, frozen=True):
        no: str

    made = defstruct("Shipped", [("no", str), (field, str)], frozen=True, module=__name__)
    Shipped: Any = event(f"{domain}-out.shipped", key="no")(made)  # noqa: N806 - it is a class

    class Board:
        def apply(self, it: Any, _: Record) -> None: ...

    def ship(it: Any) -> Any:
        return Shipped(it.no, "noon")

    ship.__annotations__ |= {"it": Placed, "return": Shipped}
    ships, shows = Service(f"{domain}-ships"), Service(f"{domain}-shows")
    ships.on(Placed)(ship)
    shows.read_model(Board, events=[Shipped])
    return Placed, ships, shows


async def test_a_renamed_field_of_what_a_handler_makes_without_deciding_is_not_ready_either(
    broker: Broker, unique: str
) -> None:
    """All of its messages have ids of handlers: nobody outside may publish it."""
    placed, ships, shows = shipping(unique, "shipped_at")
    async with mesh(ships, shows, url=broker.url) as m:
        for number in range(ORDERS):
            await m.publish(placed(f"p-{number}"))
        await m.settled()
        await eventually(lambda: m.running[shows.name].projections[0].folded == ORDERS)
        assert m.running[shows.name].health.problems() == []
    _, _, after = shipping(unique, "left_at")
    async with started(broker, after) as (shown,):
        await eventually(lambda: shown.projections[0].caught_up, what="the board")
        told = await answer(shown, "/readyz")
        assert told.status_code == 503
        assert f"could not take {ORDERS} stored events" in told.text
        assert "left_at" in told.text
