"""One fault, lived through: the load before, during and after it, and the account at its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Final

import nats.errors

from tests.cluster.chaos.faults import Fault
from tests.cluster.chaos.scene import Scene
from tests.cluster.chaos.timeline import (
    SAMPLE_SECONDS,
    THRESHOLD,
    Sample,
    longest_gap,
    silent_stops,
    stops,
)

_SETTLE_SECONDS: Final = 180.0
"""What a fault left behind must have come to its end by then."""


@dataclass(frozen=True, slots=True)
class Episode:
    """What one fault did."""

    fault: str
    victim: str
    injected: float
    """Seconds since the run began."""
    healed: float
    settled: float
    acknowledged: int
    """Messages with a PubAck so far, those of earlier episodes included."""
    write_gap: float
    """The longest time without a PubAck while purchases were published."""
    outcome_gap: float
    """The longest time without a mail while customers were waiting for one."""
    recovered: float
    """Seconds from the healing until everything acknowledged had come to its end."""
    red: dict[str, float]
    """For how many seconds each service said that it was not ready."""
    duplicates: int
    """Mails sent a second time: after the server took one and before that was stored."""
    dead: int
    """Dead letters, of which only those of garbage, poison and pending payments are allowed."""
    problems: list[str]
    """What should not be, a sentence each."""


async def live_through(
    scene: Scene,
    fault: Fault,
    chance: Random,
    *,
    before: float = 1.0,
    hold: float,
    after: float = 3.0,
) -> Episode:
    """Inject `fault` into the running load, heal it after `hold` seconds, and account for all.

    The load begins `before` seconds before it and stops `after` seconds after the healing, so
    that the account can be exact.
    """
    timeline = scene.timeline
    begun, dead, deaths = timeline.now(), timeline.dead, scene.shop.deaths
    scene.load.start()
    scene.moves.start()
    await asyncio.sleep(before)
    injected = timeline.now()
    victim, problems = await _inject(scene, fault, chance, hold)
    healed = timeline.now()
    await asyncio.sleep(after)
    stopped = timeline.now()
    problems += await _account(scene)
    settled = timeline.now()
    samples = timeline.since(begun)
    problems += _silence(samples)
    problems += _unexpected(scene.shop.deaths - deaths, fault)
    return Episode(
        fault=fault.name,
        victim=victim,
        injected=injected,
        healed=healed,
        settled=settled,
        acknowledged=len(scene.load.acknowledged),
        write_gap=longest_gap([(s.at, s.acknowledged) for s in samples if s.at <= stopped]),
        outcome_gap=max((stop.seconds for stop in stops(samples)), default=0.0),
        recovered=settled - healed,
        red=_red(samples),
        duplicates=_repeated(samples[-1]) - _repeated(samples[0]),
        dead=timeline.dead - dead,
        problems=problems,
    )


async def _inject(scene: Scene, fault: Fault, chance: Random, hold: float) -> tuple[str, list[str]]:
    """Whom it met, and what already went wrong meanwhile."""
    victim = ""
    try:
        async with fault.happening(scene, chance) as victim:
            await asyncio.sleep(hold)
    except AssertionError as error:
        return victim, [str(error)]
    return victim, []


async def _account(scene: Scene) -> list[str]:
    """Stop the load, wait for the end of all of it, and for a mesh that is whole again."""
    try:
        scene.moves.stop()
        await scene.load.stop()
        problems = await scene.settled(within=_SETTLE_SECONDS)
        await asyncio.gather(scene.cluster.healthy(), scene.shop.ready())
        return [*problems, *await scene.holes(), *await scene.lanes_left()]
    except (AssertionError, nats.errors.Error, TimeoutError) as error:
        return [f"no account: {error!r}"]


def _silence(samples: list[Sample]) -> list[str]:
    return [
        f"{stop.seconds:.1f} s without a mail, for {stop.silent:.1f} s of them beyond "
        f"{THRESHOLD:g} s every service said that it was ready"
        for stop in silent_stops(samples)
    ]


def _unexpected(deaths: Counter[str], fault: Fault) -> list[str]:
    return [
        f"{name} died {count} times by itself"
        for name, count in deaths.items()
        if name not in fault.kills
    ]


def _red(samples: list[Sample]) -> dict[str, float]:
    red: Counter[str] = Counter()
    for sample in samples:
        red.update(sample.red.keys())
    return {name: round(count * SAMPLE_SECONDS, 2) for name, count in red.items()}


def _repeated(sample: Sample) -> int:
    return sample.mails - sample.told
