"""`ordered=True` is taken away or added while keys wait, and while both kinds of code run."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from jetmesh import Reject, Retry, Service, derive
from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.own_streams import parked
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.subjects import waits_subject
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.test_order import Parcels, letter_of, nothing_pending
from tests.integration.test_order_kinds import SLOW
from tests.unit.operate.doctor.doctored import facts

pytestmark = pytest.mark.timeout(200)
WITHIN = 60.0


def refuse_the_first(parcels: Parcels) -> None:
    def refuse(moved: object) -> None:
        if getattr(moved, "number", 0) == 1:
            raise Reject("no such parcel")

    parcels.before = refuse


async def park(parcels: Parcels, running: Mesh) -> int:
    """Have 2, 3 and 4 wait behind 1, which is a dead letter; its number."""
    refuse_the_first(parcels)
    await parcels.publish(running, "p-1", 1, 2, 3, 4)
    letter: int = await eventually(lambda: letter_of(running, parcels), within=WITHIN, what="it")
    await eventually(lambda: nothing_pending(running, parcels), within=WITHIN, what="they wait")
    assert parcels.of("p-1") == []
    return letter


async def looked_after(running: Mesh, service: Service) -> bool:
    subject = waits_subject(service.name, "follow", "*")
    return bool(await running.control.subjects(f"LANES_{service.name}", subject))


async def test_what_waits_is_handled_by_code_that_keeps_no_order_any_more(
    unique: str, broker: Broker
) -> None:
    before, after = Parcels(unique, policy=SLOW), Parcels(unique, policy=SLOW, ordered=False)
    topology = derive([after.service], audited=False)
    async with mesh(before.service, url=broker.url) as running:
        letter = await park(before, running)
        (waiting,) = await parked(running.control, topology)
        assert (waiting.keys, sum(waiting.messages.values()), waiting.is_ordered) == (1, 3, False)
        (finding,) = (f for f in findings(facts({"parked": (waiting,)})) if "parked" in f.code)
        assert finding.code == "parked-left"
        assert "1 key of" in finding.sentence
        assert "3 messages" in finding.sentence
    async with mesh(after.service, url=broker.url) as running:
        await eventually(lambda: sorted(after.of("p-1")) == [2, 3, 4], within=WITHIN, what="all")
        await eventually(lambda: is_closed(after, running), within=WITHIN, what="a closed cursor")
        assert await parked(running.control, topology) == ()
        desk = Desk(running.control, by="test", topology=topology)
        await desk.send(await desk.prepare(await desk.open(letter)))
        await eventually(lambda: 1 in after.of("p-1"), within=WITHIN, what="the letter")
        await after.publish(running, "p-1", 5)
        await eventually(lambda: 5 in after.of("p-1"), within=WITHIN, what="what comes now")
        await running.settled(within=WITHIN)
        assert not await looked_after(running, after.service)
        assert await letter_of(running, after) == letter


async def is_closed(parcels: Parcels, running: Mesh) -> bool:
    return not (await parcels.cursor(running, "p-1")).is_open


async def test_a_letter_that_is_dropped_between_the_two_lets_the_others_go(
    unique: str, broker: Broker
) -> None:
    before, after = Parcels(unique, policy=SLOW), Parcels(unique, policy=SLOW, ordered=False)
    async with mesh(before.service, url=broker.url) as running:
        letter = await park(before, running)
    async with mesh(url=broker.url) as nobody:
        desk = Desk(nobody.control, by="test")
        outcome = await desk.drop(await desk.open(letter))
        assert outcome.text.endswith("3 messages behind it can go on.")
    async with mesh(after.service, url=broker.url) as running:
        await eventually(lambda: sorted(after.of("p-1")) == [2, 3, 4], within=WITHIN, what="all")
        await running.settled(within=WITHIN)
        assert await letter_of(running, after) == letter
    assert after.begun.count(("p-1", 1)) == 0


async def test_order_that_is_kept_once_more_begins_where_it_was_left(
    unique: str, broker: Broker
) -> None:
    before, between = Parcels(unique, policy=SLOW), Parcels(unique, policy=SLOW, ordered=False)
    async with mesh(before.service, url=broker.url) as running:
        letter = await park(before, running)
    async with mesh(between.service, url=broker.url) as running:
        await eventually(lambda: len(between.of("p-1")) == 3, within=WITHIN, what="all")
        await between.publish(running, "p-1", 5)
        await running.settled(within=WITHIN)
    after = Parcels(unique, policy=SLOW)
    async with mesh(after.service, url=broker.url) as running:
        await after.publish(running, "p-1", 6, 7)
        await eventually(lambda: after.of("p-1") == [6, 7], within=WITHIN, what="the new ones")
        desk = Desk(running.control, by="test")
        await desk.send(await desk.prepare(await desk.open(letter)))
        await eventually(lambda: after.of("p-1") == [6, 7, 1], within=WITHIN, what="the letter")
        await running.settled(within=WITHIN)


@pytest.mark.parametrize("adds", [True, False], ids=["added", "taken away"])
async def test_nothing_is_lost_while_both_kinds_of_code_run(
    unique: str,
    broker: Broker,
    adds: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Of what runs meanwhile some fails, to the lane; afterwards there is order, if any is kept."""
    one = Parcels(unique, policy=SLOW, ordered=not adds)
    other = Parcels(unique, policy=SLOW, ordered=adds)
    failed: set[tuple[str, int]] = set()

    def fail(moved: object) -> object:
        at = getattr(moved, "parcel_id", ""), getattr(moved, "number", 0)
        if at[1] % 4 == 1 and at not in failed:
            failed.add(at)
            raise Retry("not yet", after=2.5 if at[1] % 8 == 1 else 0.05)
        return asyncio.sleep(0.002)

    one.before = other.before = fail
    keys = [f"p-{number}" for number in range(20)]

    async def publish(running: Mesh, *numbers: int) -> None:
        for number in numbers:
            await asyncio.gather(*(one.publish(running, key, number) for key in keys))

    async with AsyncExitStack() as stack:
        async with mesh(one.service, url=broker.url) as running:
            await publish(running, *range(1, 6))
            newer = await stack.enter_async_context(mesh(other.service, url=broker.url))
            await publish(running, *range(6, 16))
        await publish(newer, *range(16, 21))

        def missing() -> set[tuple[str, int]]:
            return {(k, n) for k in keys for n in range(1, 21)} - {*one.seen, *other.seen}

        await eventually(lambda: not missing(), within=WITHIN, what="all is handled")
        await eventually(lambda: quiet(newer, other), within=WITHIN, what="nobody waits")
        other.seen.clear()
        await publish(newer, *range(21, 26))
        await eventually(lambda: len(other.seen) >= 5 * len(keys), within=WITHIN, what="the rest")
        await newer.settled(within=WITHIN)
        for key in keys:
            seen = [number for number in other.of(key) if number > 20]
            assert (seen if adds else sorted(seen)) == [*range(21, 26)]


async def quiet(running: Mesh, parcels: Parcels) -> bool:
    waits = await looked_after(running, parcels.service)
    return not waits and await nothing_pending(running, parcels)
