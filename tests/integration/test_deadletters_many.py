"""Many letters at once: in order, at a rate, beside others, and stopped half way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from jetmesh.operate.deadletters.bulk import Batch
from jetmesh.operate.deadletters.desk import Outcome
from jetmesh.operate.deadletters.letter import Selector
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually
from tests.integration.some_letters import (
    Scene,
    desk_of,
    desk_scene,
    lane,
    open_letters,
    put_letter,
)


@pytest_asyncio.fixture
async def scene(broker: Broker, unique: str) -> AsyncIterator[Scene]:
    async with desk_scene(broker, unique) as made:
        yield made


async def run(scene: Scene, what: str, numbers: list[int], **how: Any) -> list[Outcome]:
    outcomes: list[Outcome] = []
    desk = desk_of(scene.control, why="because")
    batch = Batch(desk, Selector(service=scene.service), outcomes.append, **how)
    await getattr(batch, what)(numbers)
    return outcomes


async def test_many_keep_their_order(scene: Scene) -> None:
    numbers = [await scene.letter(sequence=n, payload=str(n).encode()) for n in range(1, 151)]
    await run(scene, "replay", numbers)
    arrived = await lane(scene.control, scene.service)
    assert [int(message.payload) for message in arrived] == [*range(1, 151)]


async def test_one_that_cannot_be_replayed_does_not_stop_the_others(scene: Scene) -> None:
    good = [await scene.letter(sequence=n) for n in (1, 2)]
    gone = await put_letter(scene.control, scene.service, "refund", sequence=3)
    numbers = [good[0], gone, 999_999, good[1]]
    outcomes = await run(scene, "replay", numbers)
    assert sorted(o.result for o in outcomes) == ["refused", "refused", "replayed", "replayed"]
    told = " ".join(o.text for o in outcomes if o.result == "refused")
    assert f"DEADLETTERS:{gone}: The handler {scene.service}.refund does not exist" in told
    assert "There is no letter DEADLETTERS:999999" in told


async def test_one_that_is_too_large_for_the_broker_does_not_stop_the_others(
    scene: Scene, unique: str
) -> None:
    """It costs the connection: the broker closes it on whoever sends too much."""
    subject = f"{unique}-in.placed.p-1"
    ack = await scene.control.publish(subject, b"x" * ((1 << 20) - 100))
    stored = await scene.control.message(ack.stream, ack.sequence)
    assert stored is not None
    large = await scene.letter(
        payload=b"",
        sequence=ack.sequence,
        stream=ack.stream,
        subject=subject,
        stored_at=stored.stored_at.isoformat(),
        Payload="left in its stream",
    )
    numbers = [large, *[await scene.letter(sequence=n) for n in range(100, 200)]]
    outcomes = await run(scene, "replay", numbers)
    (refused,) = (outcome for outcome in outcomes if outcome.result == "refused")
    assert refused.letter == f"DEADLETTERS:{large}"
    assert "see max_payload in the server's configuration" in refused.text
    assert len(await lane(scene.control, scene.service)) == 100
    assert await open_letters(scene.control, scene.service) == [large]


async def test_a_dry_run_changes_nothing(scene: Scene) -> None:
    numbers = [await scene.letter(sequence=n) for n in range(1, 4)]
    outcomes = await run(scene, "dry_run", numbers)
    assert {o.result for o in outcomes} == {"replayed"}
    assert outcomes[0].text.endswith(f"would be replayed on lanes.{scene.service}.charge.p-1.")
    assert await open_letters(scene.control, scene.service) == numbers
    assert await lane(scene.control, scene.service) == []


async def test_many_are_dropped(scene: Scene) -> None:
    numbers = [await scene.letter(sequence=n) for n in range(1, 101)]
    outcomes = await run(scene, "drop", numbers)
    assert [o.result for o in outcomes] == ["dropped"] * 100
    assert await open_letters(scene.control, scene.service) == []


async def test_what_others_do_meanwhile_is_not_done_twice(scene: Scene) -> None:
    """A slow replay takes hours; somebody drops letters that it has not reached yet."""
    numbers = [await scene.letter(sequence=n) for n in range(1, 5)]
    outcomes: list[Outcome] = []
    group = Selector(service=scene.service)
    batch = Batch(desk_of(scene.control), group, outcomes.append, rate=0.8)
    work = asyncio.create_task(batch.replay(numbers))
    await eventually(lambda: outcomes, what="the first replay")
    other = desk_of(scene.control, by="ben@desk", why="refunded")
    for number in numbers[2:]:
        await other.drop(await other.open(number))
    await work
    assert [o.result for o in outcomes] == ["replayed", "replayed", "others", "others"]
    assert outcomes[2].text.endswith("was dropped by somebody else meanwhile.")
    assert len(await lane(scene.control, scene.service)) == 2


async def test_whoever_stops_it_finds_every_replay_noted(scene: Scene) -> None:
    numbers = [await scene.letter(sequence=n) for n in range(1, 401)]
    outcomes: list[Outcome] = []
    group = Selector(service=scene.service)
    batch = Batch(desk_of(scene.control), group, outcomes.append)
    work = asyncio.create_task(batch.replay(numbers))
    await eventually(lambda: outcomes, what="the first replays")
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    done = len(await lane(scene.control, scene.service))
    assert 0 < done < 400
    assert len(outcomes) == done
    assert len(await open_letters(scene.control, scene.service)) == 400 - done


async def test_reading_goes_on_when_its_consumer_is_gone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when somebody looks at a page for a minute, or the broker was restarted."""
    monkeypatch.setattr("jetmesh.transport.control._PAGE", 10)
    for number in range(1, 41):
        await scene.letter(sequence=number)
    read: list[int] = []
    subject = f"deadletters.{scene.service}.charge.*"
    async for message in scene.control.history("DEADLETTERS", [subject], headers_only=True):
        read.append(int(message.headers["Jetmesh-Sequence"]))
        assert message.payload == b""
        if len(read) in {15, 30}:
            names = await scene.control.api("CONSUMER.NAMES.DEADLETTERS")
            for name in names["consumers"]:
                await scene.control.api(f"CONSUMER.DELETE.DEADLETTERS.{name}")
    assert read == [*range(1, 41)]
