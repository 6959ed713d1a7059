"""A new version in front of a thousand live processes: it is deployed when none would be stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from jetmesh import Service, derive, upcasts
from jetmesh.declare import spec_of
from jetmesh.operate.candeploy.proof import prove
from jetmesh.operate.candeploy.report import Report, sentences
from jetmesh.operate.evolution.check import check
from jetmesh.operate.evolution.describe import contract_of
from jetmesh.operate.evolution.generate import samples
from jetmesh.operate.evolution.released import Name, Release, Released
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import mesh
from jetmesh.transport.control import ControlPlane
from tests.integration.orders_process import Orders

LIVE = 1000
FEWER = Literal["paid", "closed"]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """One for each test: the mesh's own streams are everyone's."""
    with Broker(tmp_path / "nats") as started:
        yield started


async def live(broker: Broker, unique: str) -> None:
    """A thousand processes, of which a tenth is paid."""
    orders = Orders(unique)
    async with mesh(orders.moving(), url=broker.url) as m:
        keys = [f"o-{number}" for number in range(LIVE)]
        await asyncio.gather(*(m.publish(orders.placed(key)) for key in keys))
        await m.settled(within=60)
        await asyncio.gather(*(m.publish(orders.paid(key)) for key in keys[::10]))
        await m.settled(within=60)


async def told(broker: Broker, service: Service) -> Report:
    nats = NatsSettings(url=broker.url)
    async with await ControlPlane.connect(nats, name="test") as control:
        none = Released([])
        topology = derive([service])
        ignore: Any = lambda _: None  # noqa: E731 - how far it came is nobody's business here
        return await prove(nats, control, topology, none, on_begin=ignore, on_read=ignore)


def text(report: Report) -> str:
    return "\n".join(line for _, line in sentences(report))


def without_waiting(unique: str, **how: Any) -> Orders:
    orders = Orders(unique, FEWER, forever={"paid": "tests are quick"}, **how)
    order = orders.order

    def place(event: Any, known: Any) -> Any:
        return order(event.order_id, "paid")

    def close(event: Any, known: Any) -> Any:
        return order(event.order_id, "closed")

    orders.on(place, orders.placed, {None: "paid"})
    orders.on(close, orders.closed, {"paid": "closed"})
    return orders


async def test_a_version_with_the_same_steps_and_one_more_is_deployed_and_none_is_stuck(
    unique: str, broker: Broker
) -> None:
    await live(broker, unique)
    orders = Orders(
        unique,
        Literal["waiting", "paid", "shipped", "closed"],
        forever=dict.fromkeys(("waiting", "paid", "shipped"), "tests are quick"),
    )
    orders.moving()
    orders.service.handlers.clear()
    order = orders.order

    def place(event: Any, known: Any) -> Any:
        return order(event.order_id, "waiting")

    def pay(event: Any, known: Any) -> Any:
        return order(event.order_id, "shipped" if known.step == "paid" else "paid")

    def close(event: Any, known: Any) -> Any:
        return order(event.order_id, "closed")

    orders.on(place, orders.placed, {None: "waiting"})
    orders.on(pay, orders.paid, {"waiting": "paid", "paid": "shipped"})
    orders.on(close, orders.closed, dict.fromkeys(("waiting", "paid", "shipped"), "closed"))
    report = await told(broker, orders.service)
    assert report.deployable
    assert f"processes {unique}.orders: 900 in waiting, 100 in paid" in text(report)
    async with mesh(orders.service, url=broker.url) as m:
        keys = [f"o-{number}" for number in range(LIVE)]
        await asyncio.gather(*(m.publish(orders.closed(key)) for key in keys))
        await m.settled(within=60)
        counts = await m.stored(orders.stream)
        assert len(counts) == LIVE
        assert all(b'"closed"' in each.payload for each in counts)
        assert await orders.letters(m) == []


async def test_a_version_without_a_step_in_which_processes_stand_is_refused_and_says_what_to_do(
    unique: str, broker: Broker
) -> None:
    await live(broker, unique)
    report = await told(broker, without_waiting(unique).service)
    assert not report.deployable
    (found,) = report.processes
    assert found.stuck == {"waiting": 900}
    assert (
        "900 processes stand in the step 'waiting', which this version lacks: keep it, with "
        "former=('waiting',) once nothing leads there, until they have left it; or raise the "
        "version, and say with @upcasts in which step they go on"
    ) in text(report)
    assert "It cannot be deployed: 900 processes would be stuck" in text(report)


async def test_a_version_that_moves_them_on_is_deployed(unique: str, broker: Broker) -> None:
    await live(broker, unique)
    orders = without_waiting(unique, version=2)

    @upcasts(1, orders.order)
    def at_once(old: dict[str, Any]) -> dict[str, Any]:
        return old | {"step": "paid" if old["step"] == "waiting" else old["step"]}

    report = await told(broker, orders.service)
    assert report.deployable, text(report)
    async with mesh(orders.service, url=broker.url) as m:
        await m.publish(orders.closed("o-1"))
        await orders.stands(m, "o-1", "closed")


def test_the_contract_check_names_who_moves_the_process_and_how_to_keep_a_step(
    unique: str,
) -> None:
    old = spec_of(Orders(unique).order)
    assert old is not None
    contract = contract_of(old)
    released = Released([Release(Name(1), contract, samples(contract), {})])
    service = without_waiting(unique).service
    (found,) = [
        each
        for each in check(derive([service]), released).findings
        if each.path.endswith("step") and each.who == "new reads old"
    ]
    assert found.verdict == "red"
    assert found.readers == [f"{service.name}.place", f"{service.name}.close"]
    assert found.remedy.startswith("Keep every step, with former=(…) for one that nothing leads to")
