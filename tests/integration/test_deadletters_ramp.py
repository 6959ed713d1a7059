"""Replaying carefully: rehearsed first, or in growing steps that stop by themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from jetmesh import Policy, Service, event
from jetmesh.declare import Duration
from jetmesh.operate.deadletters.bulk import Batch
from jetmesh.operate.deadletters.desk import Outcome
from jetmesh.operate.deadletters.letter import Selector
from jetmesh.operate.deadletters.ramp import Step, ramp
from jetmesh.operate.deadletters.store import find
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import Mesh, eventually, mesh
from jetmesh.transport.control import ControlPlane
from tests.integration.command_line import Said, said
from tests.integration.planes import settings_of
from tests.integration.some_letters import desk_of, desk_scene, lane, open_letters, put_letter
from tests.unit.shop.flow import validated

pytestmark = pytest.mark.timeout(180)
MANY = 40


@dataclass
class Repairs:
    """A handler that fails for the keys that are still broken."""

    service: Service
    broken: set[str]
    ran: list[str] = field(default_factory=list)


@asynccontextmanager
async def failed(broker: Broker, unique: str) -> AsyncIterator[tuple[Mesh, Repairs, list[int]]]:
    """A mesh in which every message became a letter."""

    @event(f"{unique}-in.placed", key="id")
    class Placed(Struct, frozen=True):
        id: str

    service = Service(f"{unique}-desk")
    repairs = Repairs(service, {f"b-{n}" for n in range(MANY)})

    @service.on(Placed, policy=Policy(attempts=2, backoff=Duration(0.05)))
    async def decide(placed: Placed) -> None:
        repairs.ran.append(placed.id)
        if placed.id in repairs.broken:
            raise ValueError("broken")

    async with mesh(service, url=broker.url) as m:
        for n in range(MANY):
            await m.publish(Placed(f"b-{n}"))

        async def all_failed() -> list[int]:
            found = await open_letters(m.control, service.name)
            return found if len(found) == MANY else []

        yield m, repairs, await eventually(all_failed, within=60, what="letters")


async def climb(m: Mesh, repairs: Repairs, letters: list[int], within: float = 60) -> list[Step]:
    outcomes: list[Outcome] = []
    batch = Batch(desk_of(m.control), Selector(service=repairs.service.name), outcomes.append)
    steps = [step async for step in ramp(batch, letters, within=within)]
    assert {outcome.result for outcome in outcomes} == {"replayed"}
    assert len(outcomes) == sum(step.sent for step in steps)
    return steps


async def test_a_ramp_grows_for_as_long_as_none_fails_again(broker: Broker, unique: str) -> None:
    async with failed(broker, unique) as (m, repairs, letters):
        repairs.broken.clear()
        repairs.ran.clear()
        steps = await climb(m, repairs, letters)
        assert [step.sent for step in steps] == [1, 5, 20, 14]
        assert all(step.went_well for step in steps)
        assert len(repairs.ran) == MANY
        assert await open_letters(m.control, repairs.service.name) == []


async def test_a_ramp_stops_by_itself_when_they_fail_again(broker: Broker, unique: str) -> None:
    async with failed(broker, unique) as (m, repairs, letters):
        repairs.ran.clear()
        first, *_ = await climb(m, repairs, letters)
        assert (first.sent, len(first.failed), first.waiting) == (1, 1, 0)
        key = (await find(m.control, letters[0])).key
        assert set(repairs.ran) == {key}, "nobody else's message was sent"
        (again,) = set(await open_letters(m.control, repairs.service.name)) - set(letters)
        assert first.failed == (f"DEADLETTERS:{again}",)
        assert len(await open_letters(m.control, repairs.service.name)) == MANY


async def test_a_ramp_stops_at_the_step_in_which_one_fails(broker: Broker, unique: str) -> None:
    async with failed(broker, unique) as (m, repairs, letters):
        repairs.broken = {(await find(m.control, letters[9])).key}
        steps = await climb(m, repairs, letters)
        assert [(step.sent, len(step.failed)) for step in steps] == [(1, 0), (5, 0), (20, 1)]
        left = await open_letters(m.control, repairs.service.name)
        assert len(left) == MANY - 26 + 1


async def test_a_ramp_to_nobody_stops_when_its_time_is_over(broker: Broker, unique: str) -> None:
    async with desk_scene(broker, unique) as scene:
        numbers = [await scene.letter(f"p-{n}", sequence=n) for n in (1, 2, 3)]
        batch = Batch(desk_of(scene.control), Selector(service=scene.service), lambda _: None)
        (step,) = [step async for step in ramp(batch, numbers, within=0.5)]
        assert (step.sent, step.failed, step.waiting) == (1, (), 1)
        assert len(await lane(scene.control, scene.service)) == 1


# the command, on the shop


@pytest.fixture
def shop(own_broker: Broker) -> Broker:
    """The shop's topology, and nobody who handles anything."""
    applied = said("apply", url=own_broker.url)
    assert applied.returncode == 0, applied.stderr
    return own_broker


def letters_of(broker: Broker, *payloads: Any, service: str = "payments") -> list[int]:
    async def put() -> list[int]:
        async with await ControlPlane.connect(settings_of(broker), name="test") as control:
            return [
                await put_letter(control, service, "charge", f"p-{n}", payload=each, sequence=n)
                for n, each in enumerate(payloads, 1)
            ]

    return asyncio.run(put())


def replay(broker: Broker, *options: str, cwd: Path | None = None) -> Said:
    where = {"cwd": cwd} if cwd else {}
    return said("deadletters", "replay", *options, url=broker.url, **where)  # type: ignore[arg-type]  # a path


def lanes(broker: Broker) -> int:
    async def count() -> int:
        async with await ControlPlane.connect(settings_of(broker), name="test") as control:
            return len(await lane(control, "payments"))

    return asyncio.run(count())


def test_a_rehearsal_says_how_many_letters_would_pass_and_replays_none(shop: Broker) -> None:
    good = msgspec.json.encode(validated())
    letters_of(shop, good, b'{"purchase_id": "p-2"}', good)
    told = replay(shop, "--service", "payments", "--rehearse")
    assert told.returncode == 1, told.stderr
    first, last = told.stdout.splitlines()
    assert first == (
        "payments.charge: 2 would pass now, 1 would be dead-lettered "
        "(`ContractViolation` at field $.customer)."
    )
    assert last == "2 of 3 letters would pass now."
    assert lanes(shop) == 0
    assert "3 open letters" in said("deadletters", "ls", url=shop.url).stdout
    told = replay(shop, "1", "3", "--rehearse")
    assert (told.returncode, told.stdout.splitlines()[-1]) == (0, "2 of 2 letters would pass now.")


def test_letters_of_code_that_is_not_here_cannot_be_rehearsed(shop: Broker, tmp_path: Path) -> None:
    letters_of(shop, b"{}")
    told = replay(shop, "--all", "--rehearse", cwd=tmp_path)
    assert told.returncode == 2
    assert "Without a project there is no code that could pass letters." in told.stderr


def test_a_ramp_says_why_it_stopped(shop: Broker) -> None:
    letters_of(shop, *[msgspec.json.encode(validated(f"p-{n}")) for n in range(1, 6)])
    told = replay(shop, "--all", "--ramp", "--within", "1", "--yes")
    assert told.returncode == 1, told.stderr
    assert told.stdout.splitlines() == [
        "1 letter was replayed: 1 without a verdict after 1 s.",
        "1 letter was replayed.",
        "Stopped; 4 letters are as before.",
    ]
    assert lanes(shop) == 1
    assert json.loads(said("deadletters", "ls", "--json", url=shop.url).stdout)


def test_a_ramp_is_for_many(shop: Broker) -> None:
    (number,) = letters_of(shop, b"{}")
    told = replay(shop, str(number), "--ramp")
    assert told.returncode == 2
    assert "A ramp is for many letters." in told.stderr
