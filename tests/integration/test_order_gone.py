"""What an ordered key waits for is removed, made again, replayed late or twice: none hangs."""

from __future__ import annotations

import asyncio

import pytest

from jetmesh import derive
from jetmesh.errors import JetmeshError
from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.own_streams import parked
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.test_order import Parcels, nothing_pending
from tests.integration.test_order_kinds import SLOW
from tests.integration.test_order_taken_away import WITHIN, is_closed, looked_after, park
from tests.unit.operate.doctor.doctored import facts

pytestmark = pytest.mark.timeout(200)


async def test_a_key_whose_letter_somebody_removed_takes_its_message_up_again(
    unique: str, broker: Broker
) -> None:
    """A stream of letters with a max_age does the same."""
    parcels = Parcels(unique, policy=SLOW)
    async with mesh(parcels.service, url=broker.url) as running:
        await park(parcels, running)
        parcels.before = lambda _: None
        await running.control.forget("DEADLETTERS", f"deadletters.{unique}-tracking.>")
        await eventually(
            lambda: parcels.of("p-1") == [1, 2, 3, 4], within=WITHIN, what="it goes on"
        )
        await running.settled(within=WITHIN)
        await eventually(lambda: is_at_rest(running, parcels), within=WITHIN, what="nobody waits")


async def is_at_rest(running: Mesh, parcels: Parcels) -> bool:
    closed = await is_closed(parcels, running)
    return closed and not await looked_after(running, parcels.service)


async def test_a_key_whose_message_is_gone_with_its_letter_passes_it_over(
    unique: str, broker: Broker
) -> None:
    parcels = Parcels(unique, policy=SLOW)
    async with mesh(parcels.service, url=broker.url) as running:
        await park(parcels, running)
        await running.control.api(f"STREAM.MSG.DELETE.{parcels.stream}", {"seq": 1})
        await running.control.forget("DEADLETTERS", f"deadletters.{unique}-tracking.>")
        await eventually(lambda: parcels.of("p-1") == [2, 3, 4], within=WITHIN, what="it goes on")
        await running.settled(within=WITHIN)
        await eventually(lambda: is_at_rest(running, parcels), within=WITHIN, what="nobody waits")


async def test_the_next_message_of_a_key_that_is_removed_before_its_turn_is_passed_over(
    unique: str, broker: Broker
) -> None:
    """As max_age does it, of one that waits for its turn and of the last one that does."""
    parcels = Parcels(unique, policy=SLOW)
    ends = asyncio.Event()
    parcels.before = lambda moved: ends.wait() if moved.number == 1 else None
    async with mesh(parcels.service, url=broker.url) as running:
        await parcels.publish(running, "p-1", 1, 2, 3, 4)
        await eventually(lambda: waits(parcels, running, 4), within=WITHIN, what="they wait")
        for sequence in (2, 4):
            await running.control.api(f"STREAM.MSG.DELETE.{parcels.stream}", {"seq": sequence})
        ends.set()
        await eventually(lambda: 3 in parcels.of("p-1"), within=WITHIN, what="it goes on")
        await parcels.publish(running, "p-1", 5)
        await eventually(lambda: parcels.of("p-1")[-1] == 5, within=WITHIN, what="the next")
        assert sorted({*parcels.of("p-1")}) == [1, 3, 5]
        await running.settled(within=WITHIN)
        await eventually(lambda: is_at_rest(running, parcels), within=WITHIN, what="nobody waits")


async def waits(parcels: Parcels, running: Mesh, last: int) -> bool:
    return (await parcels.cursor(running, "p-1")).last == last


async def test_nobody_looks_for_ever_after_a_key_of_which_nothing_is_left(
    unique: str, broker: Broker
) -> None:
    parcels = Parcels(unique, policy=SLOW)
    parcels.before = lambda moved: asyncio.Event().wait() if moved.number == 1 else None
    quick = {"JETMESH__GRACE": "50ms"}
    async with mesh(parcels.service, url=broker.url, settings=quick) as running:
        await parcels.publish(running, "p-1", 1, 2, 3)
        await eventually(lambda: waits(parcels, running, 3), within=WITHIN, what="they wait")
    async with mesh(url=broker.url) as nobody:
        await nobody.control.forget(parcels.stream, f"{unique}-in.moved.p-1")
    async with mesh(parcels.service, url=broker.url) as running:
        await eventually(lambda: is_at_rest(running, parcels), within=WITHIN, what="nobody waits")
        await parcels.publish(running, "p-1", 4)
        await eventually(lambda: parcels.of("p-1") == [4], within=WITHIN, what="what comes now")
        await running.settled(within=WITHIN)


async def test_a_durable_that_is_made_again_runs_nothing_twice_and_nothing_early(
    unique: str, broker: Broker
) -> None:
    parcels = Parcels(unique, policy=SLOW)
    async with mesh(parcels.service, url=broker.url) as running:
        letter = await park(parcels, running)
        await parcels.publish(running, "p-2", 2, 3)
        await eventually(lambda: parcels.of("p-2") == [2, 3], within=WITHIN, what="others")
        name = f"{unique}-tracking-follow"
        await running.control.api(f"CONSUMER.DELETE.{parcels.stream}.{name}")
        await parcels.publish(running, "p-1", 5)
        await parcels.publish(running, "p-2", 4)
        await eventually(lambda: parcels.of("p-2") == [2, 3, 4], within=WITHIN, what="others")
        await eventually(lambda: nothing_pending(running, parcels), within=WITHIN, what="all left")
        assert parcels.of("p-1") == []
        parcels.before = lambda _: None
        desk = Desk(running.control, by="test")
        await desk.send(await desk.prepare(await desk.open(letter)))
        await eventually(
            lambda: parcels.of("p-1") == [1, 2, 3, 4, 5], within=WITHIN, what="it goes on"
        )
        await running.settled(within=WITHIN)
        assert parcels.of("p-2") == [2, 3, 4]


async def test_a_letter_that_is_dropped_twice_and_replayed_lets_its_key_go_once(
    unique: str, broker: Broker
) -> None:
    parcels = Parcels(unique, policy=SLOW)
    topology = derive([parcels.service], audited=False)
    async with mesh(parcels.service, url=broker.url) as running:
        letter = await park(parcels, running)
        desk = Desk(running.control, by="test")
        found = await desk.open(letter)
        first, second = await asyncio.gather(desk.drop(found), desk.drop(found))
        assert {first.result, second.result} == {"dropped", "others"}
        await eventually(lambda: parcels.of("p-1") == [2, 3, 4], within=WITHIN, what="it goes on")
        # as it does a day later, when no id of the first time is known any more
        await running.control.forget(f"LANES_{unique}-tracking", ">")
        await desk.send(await desk.prepare(found, again=True))
        await running.settled(within=WITHIN)
        assert parcels.begun.count(("p-1", 1)) == 1
        knowing = Desk(running.control, by="test", topology=topology)
        with pytest.raises(JetmeshError, match="its key went on without it"):
            await knowing.prepare(await knowing.open(letter, again=True), again=True)
        await parcels.publish(running, "p-1", 5)
        await eventually(lambda: parcels.of("p-1") == [2, 3, 4, 5], within=WITHIN, what="the next")


async def test_a_key_that_grows_without_end_is_told_with_its_number_and_the_remedy(
    unique: str, broker: Broker
) -> None:
    parcels = Parcels(unique, policy=SLOW)
    topology = derive([parcels.service], audited=False)
    async with mesh(parcels.service, url=broker.url) as running:
        await park(parcels, running)
        for start in range(5, 1105, 100):
            several = (parcels.publish(running, "p-1", n) for n in range(start, start + 100))
            await asyncio.gather(*several)
        await eventually(lambda: nothing_pending(running, parcels), within=WITHIN, what="they wait")
        waiting = await parked(running.control, topology)
        (finding,) = (f for f in findings(facts({"parked": waiting})) if "parked" in f.code)
        assert (finding.code, finding.severity) == ("parked-much", "problem")
        assert finding.sentence.startswith("1,103 messages of ")
        assert f"1,103 behind {parcels.stream}:1" in " ".join(finding.evidence)
        assert "jetmesh deadletters replay" in finding.remedy
        (service,) = running.running.values()

        def told() -> bool:
            return any("with 1,103 more" in note for note in service.health.notes())

        await eventually(told, within=WITHIN, what="/readyz says how many")
