"""`jetmesh trace` of an input says whether the state of its key has taken it in."""

from __future__ import annotations

import pytest

from jetmesh import Reject, derive
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually, mesh
from tests.integration.test_states import Shop


@pytest.fixture
def shop(unique: str) -> Shop:
    return Shop(unique)


async def test_an_input_is_told_with_the_state_that_took_it_in(broker: Broker, shop: Shop) -> None:
    def refuse(event: object) -> None:
        if getattr(event, "purchase_id", "").endswith("p-2"):
            raise Reject("not this one")

    shop.award(refuse)
    topology = derive([shop.service])
    async with mesh(shop.service, url=broker.url) as m:
        for number in (1, 2):
            await m.publish(shop.captured(f"{shop.domain}-p-{number}", "c-1"))
        await shop.knows(m, "c-1", 1)

        async def given_up() -> bool:
            return len(await shop.letters(m)) == 1

        await eventually(given_up, what="a dead letter")
        [taken] = await trace(m.control, topology, f"{shop.domain}-p-1")
        assert taken.notes == (
            f"{shop.service.name}.award took it into {shop.domain}.accounts of c-1",
        )
        assert taken.waits == ()
        refused, letter = await trace(m.control, topology, f"{shop.domain}-p-2")
        assert (refused.notes, letter.kind) == ((), "dead letter")
