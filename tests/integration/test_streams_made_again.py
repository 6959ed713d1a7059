"""A stream is deleted and made again: what its new messages lead to is stored, every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from jetmesh import Delivery, Retry
from jetmesh.operate.deadletters.letter import Selector
from jetmesh.operate.deadletters.payload import content_of
from jetmesh.operate.deadletters.store import find, history, select
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.streams import DEADLETTERS, REFUSALS
from jetmesh.testing import Mesh, eventually
from tests.integration.one_handler import letters, outcomes, topology_of, working
from tests.integration.some_letters import desk_of, desk_scene, lane, make_handler

LIVES = 2


async def delete(m: Mesh, stream: str) -> None:
    await m.control.api(f"STREAM.DELETE.{stream}")


@pytest.mark.parametrize("attempts", [1, 3])
async def test_the_same_sequence_of_each_life_has_its_own_letter(
    broker: Broker, unique: str, attempts: int
) -> None:
    """Both lives pass within the window in which the server remembers ids."""

    def work(_: str, __: Delivery) -> None:
        raise ValueError("no luck")

    for life in range(1, LIVES + 1):
        async with working(broker, unique, work, attempts=attempts) as (m, consumer, placed):
            stream = consumer.handler.input.stream
            first = await m.publish(f"{unique}-in.placed.x", f"garbage {life}".encode())
            second = await m.publish(placed(f"p-{life}"))
            assert (first.sequence, second.sequence) == (1, 2)
            await m.settled()
            found = await letters(m, unique)
            assert len(found) == 2 * life
            assert len({each.message_id for each in found}) == 2 * life
            assert {each.payload for each in found[-2:]} == {
                f"garbage {life}".encode(),
                f'{{"order_id":"p-{life}"}}'.encode(),
            }
            await delete(m, stream)


async def test_a_service_that_runs_meanwhile_loses_nothing_of_either_life(
    broker: Broker, unique: str
) -> None:
    def work(_: str, __: Delivery) -> None:
        raise ValueError("no luck")

    async with working(broker, unique, work, attempts=2) as (m, consumer, placed):
        for life in range(1, LIVES + 1):
            await m.publish(f"{unique}-in.placed.x", b"garbage")
            second = await m.publish(placed("p-1"))
            assert second.sequence == 2

            async def all_given_up() -> bool:
                return len(await letters(m, unique)) == 2 * life  # noqa: B023 - awaited at once

            await eventually(all_given_up, within=20, what="a letter for each")
            await m.settled()
            await delete(m, consumer.handler.input.stream)
            await make_handler(m.control, topology_of(m))


async def test_the_retry_of_each_life_waits_on_the_lane_beside_the_other(
    broker: Broker, unique: str
) -> None:
    handled: list[str] = []

    def work(key: str, delivery: Delivery) -> None:
        if delivery.attempt == 1:
            raise Retry("not now", after=3.0)  # on the lane, both at once
        handled.append(key)

    for life in range(LIVES):
        async with working(broker, unique, work) as (m, consumer, placed):
            await m.publish(placed(f"p-{life}"))
            await eventually(lambda: consumer.stats.retried, what="the retry")
            await delete(m, consumer.handler.input.stream)
    async with working(broker, unique, work) as (m, _, _placed):
        await m.settled(within=30)
        assert sorted(handled) == ["p-0", "p-1"]
        assert len(await outcomes(m, unique)) == LIVES


async def test_what_the_old_life_decided_is_not_taken_for_the_new_ones_own(
    broker: Broker, unique: str
) -> None:
    """The key has its outcome; that another message wanted one too is marked, each time."""
    for life in range(LIVES + 1):
        async with working(broker, unique, lambda *_: None) as (m, consumer, placed):
            await m.publish(placed("p-1"))
            await m.settled()
            assert len(await outcomes(m, unique)) == 1
            marks = await m.stored(REFUSALS, f"refusals.{unique}-service.>")
            assert len(marks) == life
            steps = await trace(m.control, topology_of(m), "p-1")
            told = {step.id: step.cause for step in steps if step.kind != "event"}
            stream = consumer.handler.input.stream
            assert told.get(f"{REFUSALS}:{marks[-1].sequence}" if marks else "") == (
                f"{stream}:1" if marks else None
            )
            outcome = next(step for step in steps if step.id == f"{unique.upper()}:1")
            assert outcome.cause.startswith(f"{stream}:1")
            assert (outcome.cause == f"{stream}:1") is (life == 0)  # later another one stands there
            await delete(m, stream)


async def test_a_letter_of_each_life_is_replayed(tmp_path: Path, unique: str) -> None:
    """DEADLETTERS is made again; the lane remembers what was replayed before."""
    with Broker(tmp_path) as own:
        async with desk_scene(own, unique) as scene:
            for life in range(1, LIVES + 1):
                assert await scene.letter() == 1
                outcome = await scene.replay(1)
                assert (outcome.result, life) == ("replayed", life)
                assert len(await lane(scene.control, scene.service)) == life
                await scene.control.api(f"STREAM.DELETE.{DEADLETTERS}")
                await make_handler(scene.control, scene.topology)


async def test_a_letter_has_no_part_in_the_story_of_another_life(
    broker: Broker, unique: str
) -> None:
    def work(_: str, __: Delivery) -> None:
        raise ValueError("no luck")

    for _ in range(LIVES):
        async with working(broker, unique, work, attempts=1) as (m, consumer, placed):
            await m.publish(placed("p-1"))
            await m.settled()
            numbers = (await select(m.control, Selector(service=f"{unique}-service"))).sequences
            newest = await find(m.control, numbers[-1])
            assert [each.letter.id for each in await history(m.control, newest)] == [newest.id]
            await delete(m, consumer.handler.input.stream)


async def test_a_payload_of_another_life_is_not_replayed(broker: Broker, unique: str) -> None:
    """The letter says that its payload was left in a place where another message stands now."""

    def work(_: str, __: Delivery) -> None:
        raise ValueError("no luck")

    body = b'{"order_id":"p-1","_":"%b"}' % (b"x" * ((1 << 20) - 90))
    async with working(broker, unique, work, attempts=1) as (m, consumer, _placed):
        await m.publish(f"{unique}-in.placed.p-1", body)
        await m.settled()
        (stored,) = await letters(m, unique)
        assert stored.headers["Jetmesh-Payload"] == "left in its stream"
        letter = await find(m.control, stored.sequence)
        assert (await content_of(m.control, letter)).payload == body
        await delete(m, consumer.handler.input.stream)
    async with working(broker, unique, lambda *_: None) as (m, _, placed):
        await m.publish(placed("p-1"))
        await m.settled()
        desk = desk_of(m.control)
        with pytest.raises(Exception, match="where another message stands now"):
            await desk.prepare(await desk.open(letter.sequence))
