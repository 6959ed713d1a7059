"""The desk on a real broker: what is put on lanes, what is noted, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from jetmesh.errors import BrokerError, ContractViolation, JetmeshError
from jetmesh.operate.deadletters.letter import STATES, Action, Selector
from jetmesh.operate.deadletters.payload import content_of
from jetmesh.operate.deadletters.store import find, lane_status, select
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.ids import note_id
from jetmesh.transport.control import ControlPlane
from tests.integration.planes import settings_of
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


async def test_a_replay_is_put_on_the_lane_with_its_original_cause(scene: Scene) -> None:
    number = await scene.letter(payload=b'{"order_id": "p-1"}', replays="1")
    outcome = await scene.replay(number)
    (message,) = await lane(scene.control, scene.service)
    assert (
        outcome.text
        == f"DEADLETTERS:{number} was replayed as LANES_{scene.service}:{message.sequence}."
    )
    assert message.subject == f"lanes.{scene.service}.charge.p-1"
    assert message.payload == b'{"order_id": "p-1"}'
    letter = await find(scene.control, number)
    assert message.headers == {
        "Nats-Msg-Id": f"replay:{number}-{letter.message.stored_ns}",
        "Correlation-Id": "c-1",
        "Jetmesh-Subject": "orders.validated.p-1",
        "Jetmesh-Stream": "ORDERS",
        "Jetmesh-Sequence": "5",
        "Jetmesh-Stored-At": letter.header("Jetmesh-Stored-At"),
        "Jetmesh-Attempts": "0",
        "Jetmesh-Replays": "2",
    }
    assert f"on its handler's lane (LANES_{scene.service}:" in await lane_status(
        scene.control, letter
    )


async def test_who_did_what_when_and_why_is_stored(scene: Scene) -> None:
    number = await scene.letter()
    before = datetime.now(UTC)
    await scene.replay(number, desk_of(scene.control, why="gateway repaired"))
    (note,) = await scene.noted(number)
    assert (note.action, note.letter, note.by, note.why) == (
        "replay",
        number,
        "ana@desk",
        "gateway repaired",
    )
    assert before <= note.at <= datetime.now(UTC)
    assert not note.corrected
    (message,) = await lane(scene.control, scene.service)
    assert note.lane_sequence == message.sequence
    stored = await scene.control.last("DEADLETTERS", f"deadletters.{scene.service}.charge.p-1.done")
    assert stored is not None
    letter = await find(scene.control, number)
    assert stored.message_id == f"done:{number}-{letter.message.stored_ns}:replay"
    assert json.loads(stored.payload)["by"] == "ana@desk"
    assert await open_letters(scene.control, scene.service) == []


async def test_two_people_at_the_same_moment_run_it_once(scene: Scene) -> None:
    number = await scene.letter()
    ana, ben = desk_of(scene.control), desk_of(scene.control, by="ben@desk")
    ready = [await desk.prepare(await desk.open(number)) for desk in (ana, ben)]
    first, second = await asyncio.gather(ana.send(ready[0]), ben.send(ready[1]))
    (message,) = await lane(scene.control, scene.service)
    assert first.result == "replayed"
    assert second.result == "others"
    assert second.text == (
        f"DEADLETTERS:{number} was replayed by ana@desk at this same moment "
        f"(LANES_{scene.service}:{message.sequence}); it was not sent twice."
    )
    assert [note.by for note in await scene.noted(number)] == ["ana@desk"]


async def test_a_crash_before_the_note_loses_nothing_and_doubles_nothing(scene: Scene) -> None:
    number = await scene.letter()
    crashed = desk_of(scene.control, by="crashed@desk")
    await crashed.publish(await crashed.prepare(await crashed.open(number)))
    assert await open_letters(scene.control, scene.service) == [number]
    outcome = await scene.replay(number)
    assert outcome.result == "others"
    assert len(await lane(scene.control, scene.service)) == 1
    assert [note.by for note in await scene.noted(number)] == ["ana@desk"]
    assert await open_letters(scene.control, scene.service) == []


async def test_a_letter_is_replayed_again_only_on_demand(scene: Scene) -> None:
    number = await scene.letter()
    desk = desk_of(scene.control)
    await scene.replay(number)
    with pytest.raises(JetmeshError, match="is not open: it was replayed by ana@desk on ") as told:
        await desk.open(number)
    assert "--again" in told.value.remedy
    letter = await desk.open(number, again=True)
    await desk.send(await desk.prepare(letter, again=True))
    first, second = await lane(scene.control, scene.service)
    begin = f"replay:{number}-{letter.message.stored_ns}"
    assert (first.message_id, second.message_id) == (begin, f"{begin}:2")
    assert second.headers["Jetmesh-Replays"] == "2"
    assert len(await scene.noted(number)) == 2


async def test_a_dropped_letter_is_not_open_and_can_be_taken_back(scene: Scene) -> None:
    number = await scene.letter()
    desk = desk_of(scene.control, why="a test order")
    assert (await desk.drop(await desk.open(number))).text == f"DEADLETTERS:{number} was dropped."
    assert await open_letters(scene.control, scene.service) == []
    with pytest.raises(JetmeshError, match=r"it was dropped by ana@desk .* \(a test order\)"):
        await desk.open(number)
    letter = await desk.open(number, again=True)
    assert (await desk.send(await desk.prepare(letter, again=True))).result == "replayed"
    assert len(await lane(scene.control, scene.service)) == 1
    selection = await select(scene.control, Selector(service=scene.service), every=True)
    assert selection.faults()[0].counts == {"open": 0, "replayed": 1, "dropped": 0}


async def test_two_who_drop_at_the_same_moment_leave_one_note(scene: Scene) -> None:
    letter = await find(scene.control, await scene.letter())
    ana, ben = desk_of(scene.control, why="one"), desk_of(scene.control, by="ben", why="two")
    first, second = await asyncio.gather(ana.drop(letter), ben.drop(letter))
    assert (first.result, second.result) == ("dropped", "others")
    assert "by ana@desk" in second.text
    assert len(await scene.noted(letter.sequence)) == 1


@pytest.mark.parametrize("act", ["drop", "replay"])
async def test_a_note_is_stored_though_a_hostile_service_took_its_id(
    scene: Scene, act: Action
) -> None:
    """It may store letters of its own, under any id, and the broker compares nothing else."""
    number = await scene.letter()
    letter = await find(scene.control, number)
    taken = note_id(number, letter.message.stored_ns, act)
    mine = f"deadletters.{scene.service}-evil.other.x"
    await scene.control.publish(mine, b"{}", {"Nats-Msg-Id": taken})
    desk = desk_of(scene.control)
    outcome = await (desk.drop(letter) if act == "drop" else scene.replay(number))
    assert outcome.result == STATES[act]
    assert await open_letters(scene.control, scene.service) == []
    assert [note.state for note in await scene.noted(number)] == [STATES[act]]


async def test_a_corrected_payload_is_checked_first(scene: Scene) -> None:
    number = await scene.letter("_", payload=b"garbage")
    desk = desk_of(scene.control, topology=scene.topology)
    letter = await desk.open(number)
    with pytest.raises(ContractViolation) as refused:
        await desk.prepare(letter, corrected=b'{"order_id": "p-1", "amount": -1}')
    assert refused.value.path == "$.amount"
    assert await lane(scene.control, scene.service) == []
    corrected = b'{"order_id": "p 1", "amount": 4}'
    await desk.send(await desk.prepare(letter, corrected=corrected))
    (message,) = await lane(scene.control, scene.service)
    assert (message.subject, message.payload) == (
        f"lanes.{scene.service}.charge.p%201",
        corrected,
    )
    assert message.headers["Correlation-Id"] == "c-1"
    (note,) = await scene.noted(number)
    assert note.corrected


async def test_a_payload_that_was_left_in_its_stream_is_taken_from_there(
    scene: Scene, unique: str
) -> None:
    subject = f"{unique}-in.placed.p-1"
    ack = await scene.control.publish(subject, b"x" * 5_000, {"Correlation-Id": "c-7"})
    stored = await scene.control.message(ack.stream, ack.sequence)
    assert stored is not None
    left: dict[str, Any] = {
        "payload": b"",
        "sequence": ack.sequence,
        "stream": ack.stream,
        "subject": subject,
        "stored_at": stored.stored_at.isoformat(),
    }
    number = await put_letter(
        scene.control, scene.service, "charge", **left, Payload="left in its stream"
    )
    await scene.replay(number)
    (message,) = await lane(scene.control, scene.service)
    assert message.payload == b"x" * 5_000
    assert message.headers["Correlation-Id"] == "c-7"


@pytest.mark.parametrize("instead", [False, True])
async def test_a_payload_that_is_gone_is_told_so(
    scene: Scene, unique: str, *, instead: bool
) -> None:
    stream = f"{unique.upper()}_IN"
    if instead:
        await scene.control.publish(f"{unique}-in.placed.other", b"{}")
    left: dict[str, Any] = {
        "sequence": 1,
        "stream": stream,
        "payload": b"",
        "Payload": "left in its stream",
    }
    number = await put_letter(scene.control, scene.service, "charge", **left)
    told = "another message stands" if instead else "no longer stored"
    with pytest.raises(JetmeshError, match=f"left in {stream}:1, .*{told}") as refused:
        await content_of(scene.control, await find(scene.control, number))
    assert f"replay {number} --payload FILE" in refused.value.remedy
    desk = desk_of(scene.control)
    corrected = await desk.prepare(await desk.open(number), corrected=b"{}")
    assert (await desk.send(corrected)).result == "replayed"


async def test_nothing_is_replayed_to_a_handler_that_is_gone(scene: Scene) -> None:
    number = await put_letter(scene.control, scene.service, "refund")
    with pytest.raises(JetmeshError, match=rf"{scene.service}\.refund does not exist") as refused:
        await scene.replay(number)
    assert f"LANES_{scene.service} has no durable {scene.service}-refund" in refused.value.message
    assert "drop --service" in refused.value.remedy
    assert await lane(scene.control, scene.service) == []


async def test_a_durable_of_the_same_name_is_not_the_same_handler(
    scene: Scene, unique: str
) -> None:
    """`a-b` and `c` make the name that `a` and `b-c` make: on the lane stream of another one."""
    number = await put_letter(scene.control, unique, "pay-charge")
    with pytest.raises(JetmeshError, match=f"there is no stream LANES_{unique}"):
        await scene.replay(number)


async def test_a_broker_without_lanes_says_so(tmp_path: Path) -> None:
    with Broker(tmp_path) as empty:
        async with await ControlPlane.connect(settings_of(empty), name="test") as control:
            with pytest.raises(JetmeshError, match="no stream DEADLETTERS") as refused:
                await select(control, Selector())
            assert refused.value.remedy == "Start a service, or run jetmesh apply."
            config = {"name": "DEADLETTERS", "subjects": ["deadletters.>"]}
            await control.api("STREAM.CREATE.DEADLETTERS", config)
            number = await put_letter(control, "pay", "charge")
            desk = desk_of(control)
            with pytest.raises(JetmeshError, match="there is no stream LANES_pay") as refused:
                await desk.prepare(await desk.open(number))
            assert "run jetmesh apply" in refused.value.remedy


async def test_what_is_no_letter_is_named(scene: Scene) -> None:
    number = await scene.letter()
    await scene.replay(number)
    noted = f"is not a letter: it notes that DEADLETTERS:{number} was"
    with pytest.raises(JetmeshError, match=noted):
        await find(scene.control, number + 1)
    with pytest.raises(JetmeshError, match="There is no letter DEADLETTERS:999999, or no longer"):
        await find(scene.control, 999_999)
    odd = await scene.control.publish("deadletters.x", b"")
    with pytest.raises(JetmeshError, match=r"its subject is 'deadletters\.x'"):
        await find(scene.control, odd.sequence)


async def test_a_letter_that_somebody_typed_is_listed_and_refused(scene: Scene) -> None:
    typed = await scene.control.publish(f"deadletters.{scene.service}.charge.p-1", b"by hand")
    assert await open_letters(scene.control, scene.service) == [typed.sequence]
    with pytest.raises(JetmeshError, match="does not say which message it stands for"):
        await scene.replay(typed.sequence)


async def test_a_broker_that_takes_no_notes_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was replayed is said, and it still counts as open."""
    number = await scene.letter()
    desk = desk_of(scene.control)
    ready = await desk.prepare(await desk.open(number))
    put = await desk.publish(ready)
    real = scene.control.publish

    async def full(subject: str, *rest: Any) -> Any:
        if subject.endswith(".done"):
            raise BrokerError("maximum messages exceeded.")
        return await real(subject, *rest)

    monkeypatch.setattr(scene.control, "publish", full)
    with pytest.raises(JetmeshError, match="note could not be stored: maximum messages") as told:
        await desk.record(ready, put)
    assert (
        f"DEADLETTERS:{number} was replayed as LANES_{scene.service}:{put.sequence}"
        in told.value.message
    )
