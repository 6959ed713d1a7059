"""Order for each kind of handler, and where a stream, a durable or the code is another one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Policy, Reject, Service, event, state
from jetmesh.declare import Duration
from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually, mesh
from tests.integration.test_order import QUICK, Parcels, letter_of, nothing_pending

SLOW = Policy(
    attempts=3,
    backoff=Duration(0.01),
    backoff_cap=Duration(0.02),
    timeout=Duration(1),
    ack_wait=Duration(1),
)


@pytest.mark.parametrize("threads", [0, 4])
async def test_a_def_handler_keeps_order_on_the_loop_and_in_threads(
    unique: str, broker: Broker, threads: int
) -> None:
    @event(f"{unique}-in.moved", key="parcel_id")
    class Moved(Struct, frozen=True):
        parcel_id: str
        number: int

    @event(f"{unique}-out.followed", key="parcel_id")
    class Followed(Struct, frozen=True):
        parcel_id: str
        number: int

    service, failed = Service(f"{unique}-tracking"), set()

    def follow(moved: Any) -> Any:
        if moved.number == 2 and moved.parcel_id not in failed:
            failed.add(moved.parcel_id)
            raise ValueError("not this time")
        return Followed(moved.parcel_id, moved.number)

    follow.__annotations__ = {"moved": Moved, "return": Followed}
    service.on(Moved, policy=QUICK, ordered=True, threads=threads)(follow)
    async with mesh(service, url=broker.url) as running:
        for number in range(1, 6):
            await asyncio.gather(*(running.publish(Moved(f"p-{k}", number)) for k in range(20)))
        for key in range(20):
            subject = f"{unique}-out.followed.p-{key}"

            async def all_of(subject: str = subject) -> list[bytes]:
                found = await running.stored(f"{unique.upper()}_OUT", subject)
                return [each.payload for each in found] if len(found) >= 5 else []

            stored = await eventually(all_of, within=20, what=subject)
            numbers = [int(each[each.index(b"number") + 8 : -1]) for each in stored]
            assert numbers == [1, 2, 3, 4, 5]
        await running.settled(within=20)


async def test_a_handler_that_remembers_keeps_order_too(unique: str, broker: Broker) -> None:
    @event(f"{unique}-in.moved", key="parcel_id")
    class Moved(Struct, frozen=True):
        parcel_id: str
        number: int

    @state(f"{unique}.routes", key="parcel_id")
    class Route(Struct, frozen=True):
        parcel_id: str
        numbers: tuple[int, ...] = ()

    service, fails = Service(f"{unique}-tracking"), [True]

    def follow(moved: Any, route: Any) -> Any:
        if moved.number == 2 and fails[0]:
            raise Reject("not today")
        return Route(moved.parcel_id, (*(route.numbers if route else ()), moved.number))

    follow.__annotations__ = {"moved": Moved, "route": Route | None, "return": Route}
    service.on(Moved, policy=QUICK, ordered=True, state=Route)(follow)
    async with mesh(service, url=broker.url) as running:
        for number in range(1, 8):
            for key in ("p-1", "p-2"):
                await running.publish(Moved(key, number))
        letters = f"deadletters.{unique}-tracking.>"

        async def both() -> list[Any]:
            found = await running.stored("DEADLETTERS", letters)
            return found if len(found) == 2 else []

        found = await eventually(both, within=20, what="letters")
        fails[0] = False
        desk = Desk(running.control, by="test")
        for letter in found:
            await desk.send(await desk.prepare(await desk.open(letter.sequence)))

        async def routes() -> bool:
            stored = await running.stored(f"STATES_{unique.upper()}_ROUTES")
            return [b'"numbers":[1,2,3,4,5,6,7]' in each.payload for each in stored] == [True] * 2

        await eventually(routes, within=20, what="every message, in order, once")
        await running.settled(within=20)


async def test_a_stream_that_is_made_again_begins_anew(unique: str, broker: Broker) -> None:
    parcels = Parcels(unique)
    async with mesh(parcels.service, url=broker.url) as running:
        await parcels.publish(running, "p-1", *range(1, 6))
        await eventually(lambda: len(parcels.of("p-1")) == 5, what="the first life")
        await running.settled()
        await running.control.api(f"STREAM.DELETE.{parcels.stream}")
    await asyncio.sleep(1.1)  # of one stream, no message is stored a second before another one
    parcels.seen.clear()
    async with mesh(parcels.service, url=broker.url) as running:
        await parcels.publish(running, "p-1", *range(1, 9))
        await eventually(lambda: parcels.of("p-1") == [*range(1, 9)], what="the second life")
        await running.settled()


async def test_a_durable_that_starts_late_begins_with_the_first_message_that_it_gets(
    unique: str, broker: Broker
) -> None:
    before = Parcels(unique, name="before", ordered=False)
    async with mesh(before.service, url=broker.url) as running:
        await before.publish(running, "p-1", 1, 2, 3)
        await running.settled()
    late = Parcels(unique, start="new")
    async with mesh(late.service, url=broker.url) as running:
        await late.publish(running, "p-1", 4, 5)
        await late.publish(running, "p-2", 1)
        await eventually(lambda: late.of("p-1") == [4, 5], what="what came after it")
        await running.settled()
        assert late.of("p-2") == [1]


async def test_a_handler_that_kept_no_order_before_goes_on_in_order(
    unique: str, broker: Broker
) -> None:
    """What it had handled out of order above its ack floor stops no key."""
    before = Parcels(unique, ordered=False)
    held = asyncio.Event()
    before.before = lambda moved: held.wait() if moved.number == 2 else None
    async with mesh(
        before.service, url=broker.url, settings={"JETMESH__GRACE": "200ms"}
    ) as running:
        await before.publish(running, "p-1", 1, 2, 3)
        await eventually(lambda: before.of("p-1") == [1, 3], what="2 hangs")
    after = Parcels(unique)
    async with mesh(after.service, url=broker.url) as running:
        await after.publish(running, "p-1", 4, 5)
        await eventually(lambda: after.of("p-1")[-2:] == [4, 5], within=30, what="it goes on")
        await running.settled(within=30)
        assert after.of("p-1") in ([2, 4, 5], [2, 3, 4, 5])


async def test_what_old_code_took_in_the_middle_of_a_rollout_stops_no_key(
    unique: str, broker: Broker
) -> None:
    """Whoever looks after a key that waits goes on with it, once nobody else does."""
    new, old = Parcels(unique, policy=SLOW), Parcels(unique, policy=SLOW, ordered=False)
    held = asyncio.Event()
    new.before = lambda moved: held.wait() if moved.number == 1 else None
    quick = {"JETMESH__GRACE": "50ms"}
    async with mesh(new.service, url=broker.url, settings=quick) as running:
        await new.publish(running, "p-1", 1, 2, 3)
        await eventually(lambda: new.begun == [("p-1", 1)], what="1 hangs")
        cursor = await eventually(lambda: is_open(new, running), what="2 and 3 wait")
        assert cursor
    async with mesh(old.service, url=broker.url) as running:
        await eventually(lambda: 1 in old.of("p-1"), within=20, what="old code takes 1")
        await eventually(lambda: nothing_pending(running, old), within=20, what="nothing pending")
    new.before = lambda _: None
    async with mesh(new.service, url=broker.url) as running:
        await new.publish(running, "p-1", 4)
        await eventually(lambda: 4 in new.of("p-1"), within=60, what="it goes on")
        assert {*new.of("p-1"), *old.of("p-1")} == {1, 2, 3, 4}
        assert new.of("p-1") == sorted(new.of("p-1"))


async def is_open(parcels: Parcels, running: Any) -> bool:
    return (await parcels.cursor(running, "p-1")).is_open


async def test_a_message_that_is_removed_while_it_waits_is_passed_over(
    unique: str, broker: Broker
) -> None:
    parcels = Parcels(unique)
    fails = True

    def fail(moved: Any) -> None:
        if fails and moved.number == 1:
            raise Reject("no such parcel")

    parcels.before = fail
    async with mesh(parcels.service, url=broker.url) as running:
        await parcels.publish(running, "p-1", 1, 2, 3)
        letter = await eventually(lambda: letter_of(running, parcels), what="a letter")
        await eventually(lambda: nothing_pending(running, parcels), what="nothing pending")
        await running.control.forget(parcels.stream, f"{unique}-in.moved.p-1")
        fails = False
        desk = Desk(running.control, by="test")
        await desk.send(await desk.prepare(await desk.open(letter)))
        await eventually(lambda: parcels.of("p-1") == [1], what="the letter's own payload")
        await parcels.publish(running, "p-1", 4, 5)
        await eventually(lambda: parcels.of("p-1") == [1, 4, 5], within=20, what="it goes on")
        await running.settled(within=20)
