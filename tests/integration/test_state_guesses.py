"""Where most keys are new, nobody looks first: a guess that is wrong is nobody's failure."""

from __future__ import annotations

from typing import Any

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually, mesh
from tests.integration.test_states import Shop

NEW = 150


@pytest.fixture
def shop(unique: str) -> Shop:
    return Shop(unique)


async def test_keys_that_are_likely_new_are_not_looked_at_and_those_that_are_not_lose_nothing(
    shop: Shop, broker: Broker
) -> None:
    captured, account = shop.captured, shop.account
    given: list[Any] = []

    def award(event: Any, known: Any) -> Any:
        if event.customer_id == "c-old":
            given.append(known)
            if known is None and event.purchase_id != "p-first":
                raise ValueError("it has an account")
        return account(event.customer_id, (known.points if known else 0) + event.points)

    award.__annotations__ = {"event": captured, "known": account | None, "return": account}
    shop.service.on(captured, state=account)(award)
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(captured("p-first", "c-old", 4))
        await shop.knows(m, "c-old", 4)
    given.clear()
    async with mesh(shop.service, url=broker.url) as m:
        running = m.running[shop.service.name]
        stats = running.consumers[0].stats
        for number in range(NEW):
            await m.publish(captured(f"p-{number}", f"c-{number}"))
        await eventually(lambda: stats.acked == NEW, within=30, what="a verdict on each")
        assert running._plane.lookups.asked < NEW
        await m.publish(captured("p-last", "c-old", 3))
        await shop.knows(m, "c-old", 7)
        assert given == [None, account("c-old", 4)]
        assert stats.failed == stats.state_races == 0
        assert await shop.letters(m) == []
