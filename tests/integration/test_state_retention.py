"""States, and what follows from them, when somebody removes what their streams hold."""

from __future__ import annotations

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually, mesh
from tests.integration.test_states import Shop


@pytest.fixture
def shop(unique: str) -> Shop:
    return Shop(unique)


async def test_a_state_that_is_made_anew_takes_everything_in_again_and_tells_nothing_twice(
    shop: Shop, broker: Broker
) -> None:
    shop.award()
    tiers = f"{shop.domain.upper()}_TIERS"
    async with mesh(shop.service, url=broker.url) as m:
        for number in range(30):
            await m.publish(shop.captured(f"p-{number}", "c-1"))
        await shop.knows(m, "c-1", 30)
    async with mesh(url=broker.url) as m:
        await m.control.api(f"STREAM.DELETE.{shop.stream}")
        await m.control.api(f"CONSUMER.DELETE.{shop.domain.upper()}_IN.{shop.service.name}-award")
    async with mesh(shop.service, url=broker.url) as m:
        await shop.knows(m, "c-1", 30)
        await m.settled()
        found = await m.control.subjects(tiers, f"{shop.domain}-tiers.>")
        assert found == {f"{shop.domain}-tiers.reached.c-1": 3}


async def test_an_output_is_stored_though_retention_took_the_one_before_it(
    shop: Shop, broker: Broker
) -> None:
    shop.award()
    tiers = f"{shop.domain.upper()}_TIERS"
    async with mesh(shop.service, url=broker.url) as m:
        for number in range(10):
            await m.publish(shop.captured(f"p-{number}", "c-1"))
        await m.expect(shop.reached, "c-1")
        await m.control.api(f"STREAM.PURGE.{tiers}", {})
        for number in range(10, 20):
            await m.publish(shop.captured(f"p-{number}", "c-1"))

        async def told() -> bool:
            return await m.control.subjects(tiers, f"{shop.domain}-tiers.>") != {}

        await eventually(told, what="the second tier is told")
        assert (await m.expect(shop.reached, "c-1")).tier == 2
