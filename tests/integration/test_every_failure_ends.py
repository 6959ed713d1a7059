"""A failing message ends after its attempts on a real server, also where no lane can take it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from jetmesh import Delivery
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.streams import DEADLETTERS
from jetmesh.testing import eventually
from tests.integration.one_handler import letters, working
from tests.integration.some_letters import desk_of

ATTEMPTS = 3
LARGEST = (1 << 20) - 300
"""It fits into its stream, and as a replay on the lane; not with the headers of a retry."""


def large(size: int = LARGEST) -> bytes:
    return b'{"order_id":"p-1","_":"%b"}' % (b"x" * (size - 25))


class Failing:
    """Work that never succeeds, and remembers its attempts."""

    def __init__(self) -> None:
        self.attempts: list[int] = []

    def __call__(self, _: str, delivery: Delivery) -> None:
        self.attempts.append(delivery.attempt)
        raise ValueError("no luck")


async def test_a_replay_too_large_for_another_retry_ends_after_its_attempts(
    broker: Broker, unique: str
) -> None:
    """Replayed, it fits on the lane; with what a retry adds it does not."""
    work = Failing()
    async with working(broker, unique, work, attempts=ATTEMPTS) as (m, _, _placed):
        await m.publish(f"{unique}-in.placed.p-1", large())
        await m.settled()
        (letter,) = await letters(m, unique)
        assert letter.headers["Jetmesh-Payload"] == "left in its stream"
        assert work.attempts == [1, 2, 3]
        work.attempts.clear()
        desk = desk_of(m.control)
        await desk.send(await desk.prepare(await desk.open(letter.sequence)))

        async def given_up() -> bool:
            return len(await letters(m, unique)) == 3  # and a note

        await eventually(given_up, within=20, what="another letter")
        await m.settled()
        newest = (await letters(m, unique))[-1]
        assert newest.headers["Jetmesh-Attempts"] == str(ATTEMPTS)
        assert newest.headers["Jetmesh-Replays"] == "1"
        assert work.attempts == [1, 2, 3]


@pytest.mark.parametrize("replicas", [3])
async def test_several_replicas_try_what_the_lane_takes_once_more_at_the_most(
    broker: Broker, unique: str, replicas: int
) -> None:
    work = Failing()
    async with AsyncExitStack() as stack:
        for _ in range(replicas):
            m, _, placed = await stack.enter_async_context(
                working(broker, unique, work, attempts=ATTEMPTS)
            )
        for number in range(8):
            work.attempts.clear()
            await m.publish(placed(f"p-{number}"))
            letter = f"deadletters.{unique}-service.do.p-{number}"
            await eventually(partial(m.control.last, DEADLETTERS, letter), what="a letter")
            assert ATTEMPTS <= len(work.attempts) <= ATTEMPTS + 1


@pytest.mark.parametrize("replicas", [3])
async def test_several_replicas_together_try_no_more_than_twice_as_often(
    broker: Broker, unique: str, replicas: int
) -> None:
    work = Failing()
    async with AsyncExitStack() as stack:
        for _ in range(replicas):
            m, _, _placed = await stack.enter_async_context(
                working(broker, unique, work, attempts=ATTEMPTS)
            )
        for number in range(4):
            work.attempts.clear()
            await m.publish(f"{unique}-in.placed.p-1", large())

            async def given_up() -> bool:
                return len(await letters(m, unique)) == number + 1  # noqa: B023 - awaited at once

            await eventually(given_up, within=20, what="a letter")
            await m.settled()
            assert ATTEMPTS <= len(work.attempts) <= 2 * ATTEMPTS


@pytest.mark.parametrize("attempts", [3, 6])
async def test_a_limit_that_is_lowered_while_it_waits_on_the_lane_is_no_escape(
    tmp_path: Path, unique: str, attempts: int
) -> None:
    work, config = Failing(), tmp_path / "server.conf"
    config.write_text("max_payload: 1MB\n")
    with Broker(tmp_path / "store", config=config) as own:
        async with working(own, unique, work, attempts=attempts) as (m, consumer, _placed):
            consumer.lane.stop()
            await m.publish(f"{unique}-in.placed.p-1", large(50_000))
            await eventually(lambda: consumer.stats.retried == 2, what="a retry on the lane")
            await asyncio.to_thread(own.stop)
            config.write_text("max_payload: 10KB\n")
            await asyncio.to_thread(own.start)
            await eventually(lambda: not m.control.problem, within=20, what="a connection")
            consumer.lane.start()
            await m.settled(within=30)
            assert work.attempts == [*range(1, attempts + 1)]
            (letter,) = await letters(m, unique)
            assert letter.headers["Jetmesh-Attempts"] == str(attempts)
