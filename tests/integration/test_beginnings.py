"""Where a new handler begins is said before it is made, and in its log when it starts."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from msgspec import Struct
from structlog.testing import capture_logs

from jetmesh import Service, derive, event
from jetmesh.cli.changes import describe
from jetmesh.errors import BrokerError
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import mesh
from jetmesh.transport.beginnings import with_beginnings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import Plan, apply, plan


@pytest.fixture
def placed(unique: str) -> Any:
    @event(f"{unique}.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    return Placed


def taking(placed: Any, name: str, start: Literal["all", "new"] = "all") -> Service:
    service = Service(name)

    def take(event): ...  # type: ignore[no-untyped-def]  # annotated in the next line

    take.__annotations__.update({"event": placed, "return": None})
    service.on(placed, start=start)(take)
    return service


async def stored(control: ControlPlane, unique: str, placed: Any, count: int) -> None:
    """So many events of a first service, and others that are not its own."""
    await apply(control, await plan(control, derive([taking(placed, f"{unique}-first")])))
    for number in range(count):
        await control.publish(f"{unique}.placed.p-{number}", b'{"order_id": "p"}')
        await control.publish(f"{unique}.other.p-{number}", b"{}")


def durables(planned: Plan) -> list[str]:
    return [
        "".join(line.plain for line in describe(change))
        for change in planned.changes
        if change.kind == "durable" and "LANES" not in change.name
    ]


@pytest.mark.parametrize(
    ("start", "count", "said"),
    [
        ("all", 1_204, "begins with the first of 1,204 stored events"),
        ("all", 1, "begins with the first of 1 stored event"),
        ("all", 0, "begins with the next event, none is stored"),
        ("new", 3, "begins with the next event, not with the 3 stored events"),
    ],
)
async def test_a_plan_says_where_a_new_durable_begins(
    broker: Broker, unique: str, placed: Any, start: Any, count: int, said: str
) -> None:
    topology = derive([taking(placed, f"{unique}-second", start)])
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        await stored(control, unique, placed, count)
        planned = await with_beginnings(control, topology, await plan(control, topology))
        name = f"{unique.upper()}/{unique}-second-take"
        assert durables(planned) == [f"+ durable {name}    {said}"]
        info = await control.api(f"STREAM.INFO.{unique.upper()}")
        assert info["state"]["consumer_count"] == 1, "whoever counted is gone"


async def test_where_no_stream_is_yet_nothing_is_stored(
    broker: Broker, unique: str, placed: Any
) -> None:
    topology = derive([taking(placed, f"{unique}-first")])
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        planned = await with_beginnings(control, topology, await plan(control, topology))
    assert "begins with the next event, none is stored" in durables(planned)[0]


async def test_a_plan_that_may_not_count_is_a_plan_all_the_same(
    broker: Broker, unique: str, placed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def denied(*_: object) -> int:
        raise BrokerError("the broker's user lacks the permission")

    topology = derive([taking(placed, f"{unique}-first")])
    monkeypatch.setattr(ControlPlane, "count", denied)
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        planned = await with_beginnings(control, topology, await plan(control, topology))
    assert "first stored event; how many are stored is not known" in durables(planned)[0]


@pytest.mark.parametrize(
    ("start", "begins"),
    [("all", "with the first of 3 stored events"), ("new", "with what is stored since 20")],
)
async def test_a_service_says_at_its_first_start_where_it_begins(
    broker: Broker, unique: str, placed: Any, start: Any, begins: str
) -> None:
    service = taking(placed, f"{unique}-second", start)
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        await stored(control, unique, placed, 3)
    with capture_logs() as said:
        async with mesh(service, url=broker.url) as m:
            await m.publish(placed("p-9"))
            await m.settled()
    (first,) = [each for each in said if each["event"] == "nothing delivered yet"]
    assert first["durable"] == f"{unique}-second-take"
    assert first["begins"].startswith(begins)
    with capture_logs() as said:
        async with mesh(service, url=broker.url):
            pass
    assert [each for each in said if each["event"] == "nothing delivered yet"] == []


async def test_a_service_knows_how_its_lane_stream_is_tuned(
    broker: Broker, placed: Any, unique: str
) -> None:
    """All lane streams are tuned in one place; one that knew otherwise would not start."""
    service = taking(placed, unique)
    tuned = {"JETMESH__STREAMS__LANES__DUPLICATE_WINDOW": "7s"}
    async with mesh(service, url=broker.url, settings=tuned) as m:
        info = await m.control.api(f"STREAM.INFO.LANES_{unique}")
        assert info["config"]["duplicate_window"] == 7_000_000_000
