"""What a state meets in its stream: another replica's step, none at all, no room for it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Reject, derive, state
from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.headers import MESSAGE
from jetmesh.testing import eventually, mesh
from jetmesh.transport.provision import apply, plan
from tests.integration.test_state_room import MANY, publish, settled
from tests.integration.test_states import Shop


@pytest.fixture
def shop(unique: str) -> Shop:
    return Shop(unique)


async def test_a_step_that_another_replica_was_quicker_with_is_counted_as_a_lost_race(
    shop: Shop, broker: Broker
) -> None:
    shop.award()
    subject = f"states.{shop.domain}.accounts.c-1"
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(shop.captured("p-1", "c-1"))
        await shop.knows(m, "c-1", 1)
        stored = await m.control.last(shop.stream, subject)
        assert stored is not None
        kept = {n: v for n, v in stored.headers.items() if n.startswith("Jetmesh-")}
        await m.control.publish(subject, b'{"customer_id":"c-1","points":5}', kept)
        await m.publish(shop.captured("p-2", "c-1"))
        await shop.knows(m, "c-1", 6)
        stats = m.running[shop.service.name].consumers[0].stats
        assert (stats.state_races, stats.failed) == (1, 0)


async def test_a_state_whose_stream_is_deleted_says_so_and_begins_anew_in_the_next_one(
    shop: Shop, broker: Broker
) -> None:
    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(shop.captured("p-1", "c-1", 7))
        await shop.knows(m, "c-1", 7)
        await m.control.api(f"STREAM.DELETE.{shop.stream}")
        await m.publish(shop.captured("p-2", "c-1", 2))
        await m.publish(shop.captured("p-3", "c-2", 3))
        health = m.running[shop.service.name].health
        await eventually(health.problems, within=30, what="that something is wrong")
        await apply(m.control, await plan(m.control, derive([shop.service])))
        await shop.knows(m, "c-1", 2)
        await shop.knows(m, "c-2", 3)
        await eventually(lambda: not health.problems(), within=30, what="that all is well")
        assert await shop.letters(m) == []


async def test_a_state_larger_than_the_server_takes_is_a_letter_and_the_key_goes_on(
    shop: Shop, broker: Broker
) -> None:
    @state(f"{shop.domain}.notes", key="customer_id")
    class Notes(Struct, frozen=True):
        customer_id: str
        text: str

    def write(event: Any, known: Any) -> Any:
        size = 2 * 1024 * 1024 if event.purchase_id == "p-large" else 1
        return Notes(event.customer_id, (known.text if known else "") + "x" * size)

    write.__annotations__ = {"event": shop.captured, "known": Notes | None, "return": Notes}
    shop.service.on(shop.captured, state=Notes)(write)
    async with mesh(shop.service, url=broker.url) as m:
        for purchase in ("p-1", "p-large", "p-2"):
            await m.publish(shop.captured(purchase, "c-1"))
        await eventually(lambda: shop.letters(m), what="a letter")
        [letter] = await shop.letters(m)
        assert "the state cannot be stored" in letter.headers[MESSAGE]

        async def goes_on() -> bool:
            stored = await m.control.last(
                f"STATES_{shop.domain.upper()}_NOTES", f"states.{shop.domain}.notes.c-1"
            )
            return stored is not None and b'"xx"' in stored.payload

        await eventually(goes_on, what="both other inputs in the state")


async def test_a_letter_that_is_replayed_long_after_its_window_is_in_the_state_once(
    shop: Shop, broker: Broker
) -> None:
    """The floor that its key knows is far beyond it, and so is that of the durable."""
    broken = {"p-first"}

    def refuse(event: Any) -> None:
        if event.purchase_id in broken:
            raise Reject("not yet")

    shop.award(refuse)
    name = shop.domain.upper()
    brief = {
        f"JETMESH__STREAMS__{stream}__DUPLICATE_WINDOW": "100ms"
        for stream in (f"{name}_IN", f"{name}_TIERS", f"LANES_{shop.service.name}", "DEADLETTERS")
    }
    async with mesh(shop.service, url=broker.url, settings=brief) as m:
        await m.publish(shop.captured("p-first", "c-1"))
        await eventually(lambda: shop.letters(m), what="a letter")
        [letter] = await shop.letters(m)
        broken.clear()
        await publish(m, shop, "c-1", MANY)
        await settled(m, shop, MANY + 1)
        await shop.knows(m, "c-1", MANY)
    async with mesh(shop.service, url=broker.url, settings=brief) as m:
        desk = Desk(m.control, by="test")
        for again in (False, True):
            opened = await desk.open(letter.sequence, again=again)
            await desk.send(await desk.prepare(opened, again=again))
            await shop.knows(m, "c-1", MANY + 1)
        await m.publish(shop.captured("p-last", "c-1"))
        await shop.knows(m, "c-1", MANY + 2)
        tiers = f"{shop.domain}-tiers.>"
        assert sum((await m.control.subjects(f"{name}_TIERS", tiers)).values()) == (MANY + 2) // 10
