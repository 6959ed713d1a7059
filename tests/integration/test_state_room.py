"""A key remembers so many inputs above its floor: more than that wait, and none is left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import nats
import pytest

from jetmesh import Policy, Retry
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.steps import FULL
from jetmesh.runtime.message.states import room
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration import test_states
from tests.integration.test_states import Shop

MANY = FULL + 400
LOST = 5


@pytest.fixture
def shop(unique: str) -> Shop:
    return Shop(unique)


async def test_more_inputs_of_a_key_than_it_has_room_for_are_all_in_its_state(
    shop: Shop, broker: Broker
) -> None:
    """All of them are there when the service starts, so all of them are delivered at once."""
    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        await shop.knows(m, "c-1", None)
    async with mesh(Shop(f"{shop.domain}-x").service, url=broker.url) as m:
        await publish(m, shop, "c-1", MANY)
    async with mesh(shop.service, url=broker.url) as m:
        await settled(m, shop, MANY)
        await shop.knows(m, "c-1", MANY)
        assert m.running[shop.service.name].consumers[0].stats.delivered == MANY


async def test_a_key_with_room_for_nothing_else_has_it_for_what_holds_its_own_floor(
    shop: Shop, broker: Broker
) -> None:
    """The oldest input fails and comes again in place, while the others fill up the key."""
    failures = ["p-0"]

    def fail(event: Any) -> None:
        if event.purchase_id in failures:
            failures.remove(event.purchase_id)
            raise Retry("not now", after=1)

    shop.award(fail)
    async with mesh(shop.service, url=broker.url) as m:
        await publish(m, shop, "c-1", MANY)
        await settled(m, shop, MANY)
        await shop.knows(m, "c-1", MANY)
        assert await shop.letters(m) == []


async def test_a_floor_that_is_held_by_another_key_is_waited_for_and_told(
    shop: Shop, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits keeps neither other keys nor the holder of the floor from being pulled."""
    monkeypatch.setattr(room, "_LONG_SECONDS", 0.05)
    monkeypatch.setattr(test_states, "QUICK", Policy(batch=64))
    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        await shop.knows(m, "c-1", None)
    async with mesh(Shop(f"{shop.domain}-x").service, url=broker.url) as m:
        await m.publish(shop.captured("p-held", "c-9"))
    async with await nats.connect(broker.url) as client:
        stream = f"{shop.domain.upper()}_IN"
        next_of = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{shop.service.name}-award"
        inbox = await client.subscribe(f"{shop.domain}.inbox")
        await client.publish(next_of, b"1", reply=inbox.subject)
        held = await inbox.next_msg(timeout=10)
        async with mesh(shop.service, url=broker.url) as m:
            await publish(m, shop, "c-1", MANY)
            await publish(m, shop, "c-2", 3)
            await shop.knows(m, "c-2", 3)
            await shop.knows(m, "c-1", FULL)
            running = m.running[shop.service.name]

            def told() -> bool:
                said = " ".join(running.health.problems())
                return f"1 keys of the state {shop.domain}.accounts have no room; of c-1" in said

            await eventually(told, what="that it waits")
            assert running.consumers[0].stats.state_waits > 0
            assert not await shop.letters(m)
            await client.publish(held.reply, b"-NAK")
            await settled(m, shop, MANY + 4)
            await shop.knows(m, "c-1", MANY)
            await shop.knows(m, "c-9", 1)
            await eventually(lambda: not running.health.problems(), what="that all is well")


async def test_what_runs_alone_waits_for_no_room_that_only_others_can_make(
    shop: Shop, broker: Broker
) -> None:
    """The floor is held by one that waits until nothing runs alone any more."""
    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        await shop.knows(m, "c-1", None)
    stopped = Shop(f"{shop.domain}-x").service
    async with mesh(stopped, url=broker.url) as m:
        await m.publish(shop.captured("p-held", "c-1"))
    async with await nats.connect(broker.url) as client:
        stream = f"{shop.domain.upper()}_IN"
        next_of = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{shop.service.name}-award"
        inbox = await client.subscribe(f"{shop.domain}.inbox")
        await client.publish(next_of, b"1", reply=inbox.subject)
        held = await inbox.next_msg(timeout=10)
        async with mesh(shop.service, url=broker.url) as m:
            await publish(m, shop, "c-1", FULL)
            await shop.knows(m, "c-1", FULL)
            await in_flight(m, shop, 1)
        async with mesh(stopped, url=broker.url) as m:
            await publish(m, shop, "c-1", LOST, start=FULL)
        for _ in range(5):  # as if so many processes had died of them
            await client.publish(next_of, b"%d" % LOST, reply=inbox.subject)
            for _ in range(LOST):
                await client.publish((await inbox.next_msg(timeout=10)).reply, b"-NAK")
        async with mesh(shop.service, url=broker.url) as m:
            stats = m.running[shop.service.name].consumers[0].stats
            await eventually(lambda: stats.state_waits, within=30, what="no room")
            await client.publish(held.reply, b"-NAK")
            await settled(m, shop, FULL + LOST + 1)
            await shop.knows(m, "c-1", FULL + LOST + 1)
            assert not await shop.letters(m)


async def in_flight(m: Mesh, shop: Shop, amount: int) -> None:
    """So many have no verdict, as the server counts."""

    async def is_so() -> bool:
        path = f"{shop.domain.upper()}_IN.{shop.service.name}-award"
        info = await m.control.api(f"CONSUMER.INFO.{path}")
        return bool(info["num_ack_pending"] == amount)

    await eventually(is_so, within=30, what=f"{amount} in flight")


async def publish(m: Mesh, shop: Shop, customer: str, amount: int, start: int = 0) -> None:
    """Inputs of one key, many at once."""
    for first in range(start, start + amount, 100):
        await asyncio.gather(
            *(
                m.control.publish(
                    f"{shop.domain}-in.captured.{customer}-p-{number}",
                    msgspec.json.encode(shop.captured(f"p-{number}", customer)),
                )
                for number in range(first, min(start + amount, first + 100))
            )
        )


async def settled(m: Mesh, shop: Shop, amount: int) -> None:
    """All of them have their verdict, in whatever process."""

    async def is_settled() -> bool:
        path = f"{shop.domain.upper()}_IN.{shop.service.name}-award"
        info = await m.control.api(f"CONSUMER.INFO.{path}")
        return bool(info["ack_floor"]["stream_seq"] >= amount)

    await eventually(is_settled, within=60, what="a verdict on each")
