"""From a failing handler through the desk to the outcome, with every service at work."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from jetmesh import Policy, Reject, Service, event
from jetmesh.declare import Duration, derive
from jetmesh.operate.deadletters.bulk import Batch
from jetmesh.operate.deadletters.desk import Outcome
from jetmesh.operate.deadletters.letter import Selector
from jetmesh.operate.deadletters.store import find, history, select
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.ids import cause_of
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.some_letters import desk_of, open_letters


@dataclass
class Fault:
    """A handler that fails until it is repaired, and a neighbour that counts what it gets."""

    placed: Any
    done: Any
    service: Service
    neighbour: Service
    broken: bool = True
    runs: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)


def fault(unique: str) -> Fault:
    @event(f"{unique}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str
        amount: int = 0

    @event(f"{unique}.done", key="order_id", decision=f"{unique}.*")
    class Done(Struct, frozen=True):
        order_id: str
        amount: int = 0

    service, neighbour = Service(f"{unique}-service"), Service(f"{unique}-neighbour")
    made = Fault(Placed, Done, service, neighbour)

    @service.on(Placed, policy=Policy(attempts=2, backoff=Duration(0.01)))
    def decide(placed: Placed) -> Done:
        made.runs[placed.order_id] += 1
        if made.broken:
            raise Reject("not yet")
        return Done(placed.order_id, placed.amount)

    @neighbour.on(Placed)
    def count(placed: Placed) -> None:
        made.seen[placed.order_id] += 1

    return made


@asynccontextmanager
async def failing(broker: Broker, unique: str, count: int) -> AsyncIterator[tuple[Fault, Mesh]]:
    """A mesh in which `count` events have become dead letters of one service."""
    made = fault(unique)
    async with mesh(made.service, made.neighbour, url=broker.url) as m:
        await asyncio.gather(*(m.publish(made.placed(f"p-{n}", n)) for n in range(count)))
        verdicts = m.running[made.service.name].consumers[0].stats
        await eventually(lambda: verdicts.dead == count, within=30, what=f"{count} letters")
        yield made, m


async def replay(m: Mesh, service: str, **how: Any) -> list[Outcome]:
    """Replay every open letter of a service."""
    selector = Selector(service=service)
    selection = await select(m.control, selector)
    outcomes: list[Outcome] = []
    batch = Batch(desk_of(m.control), selector, outcomes.append, **how)
    await batch.replay(selection.sequences)
    return outcomes


async def test_a_repaired_handler_gives_the_outcome_once(broker: Broker, unique: str) -> None:
    async with failing(broker, unique, 1) as (made, m):
        made.broken = False
        (outcome,) = await replay(m, made.service.name)
        assert outcome.result == "replayed"
        assert await m.expect(made.done, "p-0") == made.done("p-0")
        await m.settled()
        assert await open_letters(m.control, made.service.name) == []
        assert await replay(m, made.service.name) == []
        (stored,) = await m.stored(unique.upper())
        # its cause is the original event, not what was on the lane
        cause = cause_of(stored.message_id)
        assert cause is not None
        assert (cause.stream, cause.sequence) == (f"{unique.upper()}_IN", "1")
        assert made.seen == {"p-0": 1}


async def test_a_thousand_replayed_reach_nobody_else(broker: Broker, unique: str) -> None:
    async with failing(broker, unique, 1_000) as (made, m):
        await eventually(lambda: made.seen.total() == 1_000, what="the neighbour's deliveries")
        made.broken = False
        outcomes = await replay(m, made.service.name)
        assert Counter(outcome.result for outcome in outcomes) == {"replayed": 1_000}
        await m.settled(within=30)
        stored = await m.stored(unique.upper())
        assert {message.subject for message in stored} == {
            f"{unique}.done.p-{n}" for n in range(1_000)
        }
        assert len(stored) == 1_000
        assert set(made.runs.values()) == {2}
        assert made.seen.total() == 1_000
        assert set(made.seen.values()) == {1}
        assert await open_letters(m.control, made.service.name) == []


async def test_an_outcome_that_exists_is_not_repeated(broker: Broker, unique: str) -> None:
    """The handler did its work, but the letter was written all the same: replay is harmless."""
    async with failing(broker, unique, 1) as (made, m):
        made.broken = False
        await replay(m, made.service.name)
        await m.expect(made.done, "p-0")
        (letter,) = [x async for x in m.control.history("DEADLETTERS", letters_of(made))]
        desk = desk_of(m.control)
        again = await desk.prepare(await desk.open(letter.sequence, again=True), again=True)
        assert (await desk.send(again)).result == "replayed"
        consumer = m.running[made.service.name].consumers[0]
        await eventually(lambda: consumer.stats.repeated == 1, what="the repetition")
        await m.settled()
        assert len(await m.stored(unique.upper())) == 1
        assert await open_letters(m.control, made.service.name) == []


async def test_a_letter_that_fails_again_shows_its_history(broker: Broker, unique: str) -> None:
    async with failing(broker, unique, 1) as (made, m):
        (first,) = await open_letters(m.control, made.service.name)
        for _ in range(2):
            await replay(m, made.service.name)
            await m.settled()
        (newest,) = await open_letters(m.control, made.service.name)
        for number in (first, newest):
            entries = await history(m.control, await find(m.control, number))
            assert [entry.letter.replays for entry in entries] == [0, 1, 2]
            assert [[note.action for note in c.notes] for c in entries] == [
                ["replay"],
                ["replay"],
                [],
            ]
            assert entries[0].letter.sequence == first
            assert entries[0].notes[0].by == "ana@desk"
        assert entries[2].letter.attempts == 1
        made.broken = False
        await replay(m, made.service.name)
        await m.expect(made.done, "p-0")


async def test_a_corrected_payload_has_its_outcome(broker: Broker, unique: str) -> None:
    """The letter's own payload nobody can read; its history leads to the corrected one."""
    made = fault(unique)
    async with mesh(made.service, url=broker.url) as m:
        await m.publish(f"{unique}-in.placed", b'{"order_id": 5}')
        await m.settled()
        (number,) = await open_letters(m.control, made.service.name)
        desk = desk_of(m.control, topology=derive([made.service]))
        letter = await desk.open(number)
        corrected = msgspec.json.encode(made.placed("p-5", 7))
        await desk.send(await desk.prepare(letter, corrected=corrected))
        await m.settled()
        (newest,) = await open_letters(m.control, made.service.name)
        entries = await history(m.control, await find(m.control, newest))
        assert [c.letter.key for c in entries] == ["", "p-5"]
        assert entries[0].notes[0].corrected
        assert [c.letter.sequence for c in await history(m.control, letter)] == [number, newest]
        made.broken = False
        await replay(m, made.service.name)
        assert await m.expect(made.done, "p-5") == made.done("p-5", 7)


async def test_a_rate_is_kept(broker: Broker, unique: str) -> None:
    async with failing(broker, unique, 12) as (made, m):
        made.broken = False
        began = asyncio.get_running_loop().time()
        await replay(m, made.service.name, rate=40)
        assert asyncio.get_running_loop().time() - began >= 8 / 40
        await m.settled()
        assert len(await m.stored(unique.upper())) == 12


def letters_of(made: Fault) -> list[str]:
    return [f"deadletters.{made.service.name}.*.*"]
