"""Order over a rollout: a key waits at a version that only newer code reads (ADR-0026, 36)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from msgspec import Struct
from msgspec.structs import replace

from jetmesh import event, upcasts
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.test_order import QUICK, Parcels, nothing_pending

pytestmark = pytest.mark.timeout(200)
WITHIN = 60.0
INTERLEAVED = {1: 1, 2: 2, 3: 1, 4: 2, 5: 1}
"""The version of each message of a key."""


class Newer(Parcels):
    """The same service one release later: its event has a second version."""

    def __init__(self, unique: str, **about: Any) -> None:
        super().__init__(unique, **about)

    def _declare(self, about: dict[str, Any]) -> None:
        @event(f"{self.domain}-in.moved", key="parcel_id", version=2)
        class Moved(Struct, frozen=True):
            parcel_id: str
            number: int
            place: str

        @upcasts(1, Moved)
        def placed(old: dict[str, Any]) -> dict[str, Any]:
            return {**old, "place": "unknown"}

        self.moved = Moved
        super()._declare(about)

    async def publish(self, running: Mesh, key: str, *numbers: int) -> None:
        for number in numbers:
            await running.publish(self.moved(key, number, "here"))


async def publish(
    running: Mesh, old: Parcels, new: Newer, key: str, versions: dict[int, int]
) -> None:
    for number, version in versions.items():
        await (old if version == 1 else new).publish(running, key, number)


async def says(running: Mesh, words: str) -> bool:
    (service,) = running.running.values()
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{service.http.health_url}/readyz")
    return answer.status_code == 503 and words in answer.text


def newer(running: Mesh) -> int:
    (service,) = running.running.values()
    return sum(consumer.stats.newer for consumer in service.consumers)


async def letters(running: Mesh, parcels: Parcels) -> list[Any]:
    return await running.stored("DEADLETTERS", f"deadletters.{parcels.service.name}.>")


async def test_a_key_waits_at_a_newer_version_and_goes_on_in_order_with_newer_code(
    unique: str, broker: Broker
) -> None:
    old, new = Parcels(unique), Newer(unique)
    async with mesh(old.service, url=broker.url) as running:
        await publish(running, old, new, "p-1", INTERLEAVED)
        knows = f"version 2 of {unique}-in.moved is stored, and this code knows 1"
        await eventually(lambda: says(running, knows), within=WITHIN, what="a word")
        await old.publish(running, "p-2", *range(1, 21))
        await eventually(lambda: old.of("p-2") == [*range(1, 21)], within=WITHIN, what="others")
        told = newer(running)
        await eventually(lambda: newer(running) >= told + 5, within=WITHIN, what="more returns")
        assert old.of("p-1") == [1]
        assert old.begun.count(("p-1", 1)) == 1
    async with mesh(new.service, url=broker.url) as running:
        await eventually(lambda: len(new.of("p-1")) >= 4, within=WITHIN, what="it goes on")
        await running.settled(within=WITHIN)
        assert new.of("p-1") == [2, 3, 4, 5]
        assert not (await new.cursor(running, "p-1")).is_open
        assert await letters(running, new) == []
    assert old.of("p-1") == [1]


async def test_other_keys_flow_however_many_wait_at_a_newer_version(
    unique: str, broker: Broker
) -> None:
    """More than may be in flight; those that wait hold no place in the durable."""
    few = replace(QUICK, max_ack_pending=16, concurrency=8)
    old, new = Parcels(unique, policy=few), Newer(unique, policy=few)
    keys = [f"k-{number}" for number in range(40)]
    async with mesh(old.service, url=broker.url) as running:
        for key in keys:
            await publish(running, old, new, key, INTERLEAVED)
        await eventually(lambda: newer(running) > 2 * len(keys), within=WITHIN, what="returns")
        await old.publish(running, "p-2", *range(1, 21))
        await eventually(lambda: old.of("p-2") == [*range(1, 21)], within=WITHIN, what="others")
        await eventually(lambda: nothing_pending(running, old), within=WITHIN, what="room")
        assert {key: old.of(key) for key in keys} == {key: [1] for key in keys}
    async with mesh(new.service, url=broker.url) as running:
        await eventually(lambda: len(new.seen) >= 4 * len(keys), within=WITHIN, what="all")
        await running.settled(within=WITHIN)
        assert {key: new.of(key) for key in keys} == {key: [2, 3, 4, 5] for key in keys}
        assert await letters(running, new) == []


async def test_order_holds_while_old_and_new_code_run_beside_one_another(
    unique: str, broker: Broker
) -> None:
    old, new = Parcels(unique), Newer(unique)
    new.begun, new.seen = old.begun, old.seen
    keys = [f"k-{number}" for number in range(6)]
    async with mesh(old.service, url=broker.url) as before:
        for key in keys:
            await publish(before, old, new, key, INTERLEAVED)
        await eventually(lambda: newer(before) > len(keys), within=WITHIN, what="returns")
        async with mesh(new.service, url=broker.url) as after:
            for key in keys:
                await publish(after, old, new, key, {6: 2, 7: 1, 8: 2})
            await eventually(lambda: len(new.seen) >= 8 * len(keys), within=WITHIN, what="all")
            await after.settled(within=WITHIN)
            assert {key: new.of(key) for key in keys} == {key: [*range(1, 9)] for key in keys}
            assert new.begun == new.seen
            assert await letters(after, new) == []
