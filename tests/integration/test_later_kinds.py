"""Every kind of handler may have an event come later, and an event may ask for its next time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Struct

from jetmesh import Cancel, Later, Retry, Service, event, seconds
from jetmesh.declare import declared_spec
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually, mesh
from tests.integration.test_later import CANCEL, LATER, Desk


@pytest.mark.parametrize("kind", ["async", "threads", "ordered", "tries again"])
async def test_whatever_a_handler_is_what_it_returns_comes_later_once_and_can_be_cancelled(
    broker: Broker, unique: str, kind: str
) -> None:
    desk, tried = Desk(unique), list[str]()

    def remind(opened: Any) -> Any:
        if opened.within < 0:
            return Cancel(desk.overdue, opened.id)
        tried.append(opened.id)
        if kind == "tries again" and tried.count(opened.id) < 3:
            raise Retry(after=0.1)
        return Later(desk.overdue(opened.id), after=seconds(opened.within))

    async def asynchronous(opened: Any) -> Any:
        return remind(opened)

    function = asynchronous if kind == "async" else remind
    returns = LATER[desk.overdue] | CANCEL[desk.overdue]
    function.__annotations__ = {"opened": desk.opened, "return": returns}
    how: dict[str, dict[str, Any]] = {"threads": {"threads": 2}, "ordered": {"ordered": True}}
    desk.service.on(desk.opened, name="remind", **how.get(kind, {}))(function)
    async with mesh(desk.service, url=broker.url) as m:
        await m.publish(desk.opened("never", within=3600.0))
        await m.publish(desk.opened("a", within=0.5))
        await eventually(lambda: desk.waiting(m))
        await m.publish(desk.opened("never", within=-1.0))
        await m.expect(desk.overdue, "a", within=60)

        async def none_waits() -> bool:
            return not await desk.waiting(m)

        await eventually(none_waits, within=60)
        await m.settled()
        assert [each.subject.rpartition(".")[2] for each in await desk.came(m)] == ["a"]
        assert await desk.letters(m) == []


async def test_an_event_that_asks_for_its_next_time_comes_each_time_once(
    broker: Broker, unique: str
) -> None:
    @event(f"{unique}-mornings.began", key="zone")
    class MorningBegan(Struct, frozen=True):
        zone: str
        number: int = 1

    service = Service(f"{unique}-desk")

    @service.on(MorningBegan, cycle=True)
    def tomorrow(began: MorningBegan) -> Later[MorningBegan] | None:
        again = MorningBegan(began.zone, began.number + 1)
        return Later(again, after=seconds(0.1)) if began.number < 4 else None

    async with mesh(service, url=broker.url) as m:
        await m.publish(MorningBegan("Europe/Vienna"))

        async def fourth() -> bool:
            return (await m.expect(MorningBegan, "Europe/Vienna")).number == 4

        await eventually(fourth, within=60)
        await m.settled()
        stored = await m.stored(declared_spec(MorningBegan).stream)
        assert [msgspec.json.decode(each.payload)["number"] for each in stored] == [1, 2, 3, 4]
