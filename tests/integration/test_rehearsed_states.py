"""A handler that remembers, rehearsed: with each state as it was, or it says why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jetmesh import Reject
from jetmesh.declare import derive
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.rehearsing.rehearsal import Rehearsal
from jetmesh.runtime.rehearsing.report import Report
from jetmesh.runtime.rehearsing.states import remembered
from jetmesh.runtime.rehearsing.stored import newest
from jetmesh.testing import Mesh, mesh
from tests.integration.test_states import Shop


@pytest.fixture
def shop(unique: str) -> Shop:
    return Shop(unique)


class Changing:
    """What is done before each run, which a test changes."""

    def __init__(self) -> None:
        self.rule: Callable[[Any], Any] = lambda _: None

    def __call__(self, event: Any) -> None:
        self.rule(event)


async def report(m: Mesh, shop: Shop, count: int = 100) -> Report:
    handler, topology = shop.service.handlers[0], derive([shop.service])
    known = await newest(m.control, handler, count)
    messages = [each.message for each in known]
    found = await remembered(m.control, topology, handler, messages)
    return await Rehearsal(shop.service, None, topology).compare(handler, known, found=found)


async def bought(m: Mesh, shop: Shop, each: int = 15) -> None:
    for number in range(2 * each):
        await m.publish(shop.captured(f"p-{number}", f"c-{number % 2}"))
    for customer in ("c-0", "c-1"):
        await shop.knows(m, customer, each)
    await m.settled()


async def test_what_it_made_of_each_message_with_what_it_knew_then_is_the_same(
    broker: Broker, shop: Shop
) -> None:
    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        await bought(m, shop)
        found = await report(m, shop)
        assert (found.same, found.rehearsed, found.groups) == (30, 30, [])
        found = await report(m, shop, count=4)
        assert (found.same, found.rehearsed, found.groups) == (4, 4, [])


async def test_another_rule_shows_in_what_follows_and_in_the_state(
    broker: Broker, shop: Shop
) -> None:

    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        await bought(m, shop, each=13)
        [handler] = shop.service.handlers
        before = handler.function

        def doubled(event: Any, known: Any) -> Any:
            return before(shop.captured(event.purchase_id, event.customer_id, 2), known)

        object.__setattr__(handler, "function", doubled)
        found = await report(m, shop)
    kinds = {group.kind for group in found.groups}
    assert f"field:states.{shop.domain}.accounts:points" in kinds
    assert f"outcome:{shop.domain}-tiers.reached" in kinds
    state = next(g for g in found.groups if g.kind.startswith("field:states"))
    assert "points 13 is now 26" in state.examples[0].detail


async def test_what_the_state_never_took_in_changes_nothing_of_what_came_after(
    broker: Broker, shop: Shop
) -> None:
    rule = Changing()

    def refuse(event: Any) -> None:
        if event.purchase_id == "p-4":
            raise Reject("not this one")

    rule.rule = refuse
    shop.award(rule)
    async with mesh(shop.service, url=broker.url) as m:
        for number in range(12):
            await m.publish(shop.captured(f"p-{number}", "c-1"))
        await shop.knows(m, "c-1", 11)
        await m.settled()
        rule.rule = lambda _: None
        found = await report(m, shop)
    assert (found.same, found.rehearsed) == (11, 12)
    assert [(group.verdict, group.count) for group in found.groups] == [("passes", 1)]


async def test_where_the_beginning_is_gone_it_says_so_and_takes_the_state_of_today(
    broker: Broker, shop: Shop
) -> None:
    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        await bought(m, shop)
        stream = shop.service.handlers[0].input.stream
        await m.control.api(f"STREAM.PURGE.{stream}", {"keep": 5})
        found = await report(m, shop)
    assert (found.today, found.same, found.groups) == (5, 0, [])
    assert found.why_today == f"{stream} begins at 26"


async def test_a_state_that_several_handlers_change_is_that_of_today(
    broker: Broker, shop: Shop
) -> None:
    shop.award()
    shop.close()
    async with mesh(shop.service, url=broker.url) as m:
        await bought(m, shop, each=2)
        found = await report(m, shop)
    assert found.today == 4
    assert "change" in found.why_today
