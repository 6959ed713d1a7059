"""What is seen from outside, four times a second: progress, duplicates, dead letters, readiness."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tests.cluster.chaos.ledger import fact_of
from tests.cluster.chaos.load import Load
from tests.cluster.chaos.reader import Post
from tests.cluster.chaos.shop import Shop

SAMPLE_SECONDS: Final = 0.25
THRESHOLD: Final = 10.0
"""Nothing may stand still for longer while every service says that it is ready."""
_SKEW: Final = 1.0
"""Readiness and progress are not sampled at the same instant."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look."""

    at: float
    """Seconds since the run began."""
    acknowledged: int
    """Messages with a PubAck."""
    told: int
    """Mails, each fact of a purchase counted once."""
    mails: int
    open: int
    """Acknowledged purchases whose customer has no mail at all yet."""
    dead: int
    """Dead letters known so far."""
    red: dict[str, str]
    """Services that say that they are not ready, and why."""


@dataclass(frozen=True, slots=True)
class Stop:
    """No customer was told anything for a while, though some were waiting."""

    begun: float
    ended: float
    silent: float
    """Seconds of it, beyond the threshold, in which no service was red."""

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


@dataclass(slots=True)
class Timeline:
    """Samples of the whole run, taken by `watch`."""

    load: Load
    shop: Shop
    samples: list[Sample] = field(default_factory=list)
    dead: int = 0
    """Set by whoever reads the dead letters."""
    begun: float = field(default_factory=time.monotonic)
    _ended: bool = False

    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.begun

    def end(self) -> None:
        """What comes now is no part of the run."""
        self._ended = True

    async def watch(self) -> None:
        """Sample until the end."""
        mails, post = 0, Post(self.shop.mails)
        facts: set[str] = set()
        customers: set[str] = set()
        while not self._ended:
            due = time.monotonic() + SAMPLE_SECONDS
            for message_id in post.new():
                mails += 1
                facts.add(message_id)
                customers.add((fact_of(message_id) or (message_id, ""))[0])
            problems = await asyncio.gather(*(each.problem() for each in self.shop.services))
            names = [each.name for each in self.shop.services]
            red = {name: why for name, why in zip(names, problems, strict=True) if why}
            stored = len(self.load.acknowledged)
            waiting = self.load.purchases - len(customers)
            self.samples.append(
                Sample(self.now(), stored, len(facts), mails, waiting, self.dead, red)
            )
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def since(self, begun: float) -> list[Sample]:
        """Samples from a moment on."""
        return [sample for sample in self.samples if sample.at >= begun]


def longest_gap(values: Sequence[tuple[float, int]]) -> float:
    """The longest time in which a growing number did not grow."""
    longest, (since, before) = 0.0, values[0] if values else (0.0, 0)
    for at, value in values:
        longest = max(longest, at - since)
        if value != before:
            since, before = at, value
    return longest


def stops(samples: Iterable[Sample]) -> Iterator[Stop]:
    """Each time in which no customer was told anything though some were waiting."""
    standing: list[Sample] = []
    for sample in samples:
        if standing and sample.told == standing[0].told and sample.open > 0:
            standing.append(sample)
            continue
        if len(standing) > 1:
            yield _stop(standing)
        standing = [sample]
    if len(standing) > 1:
        yield _stop(standing)


def silent_stops(samples: Iterable[Sample]) -> list[Stop]:
    """Stops that lasted beyond the threshold with nobody red."""
    return [stop for stop in stops(samples) if stop.silent > _SKEW]


def _stop(standing: Sequence[Sample]) -> Stop:
    begun = standing[0].at
    silent = sum(
        after.at - before.at
        for before, after in pairwise(standing)
        if before.at - begun > THRESHOLD and not before.red
    )
    return Stop(begun, standing[-1].at, silent)
