"""Which fault comes when: decided by the seed alone, so that a run can be repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.cluster.chaos.faults import Fault, together

_PAUSE_SECONDS: Final = (1.0, 6.0)


@dataclass(frozen=True, slots=True)
class Step:
    """One fault of a run."""

    number: int
    fault: Fault
    pause: float
    """Seconds of healthy load before it."""
    hold: float
    """Seconds until it is healed."""
    chance: Random
    """Decides everything else about it: whom it meets, and at which moments."""


def steps(seed: int, faults: Sequence[Fault]) -> Iterator[Step]:
    """Every fault once in random order, then pairs of them, then again alone, without end."""
    order = Random(seed)  # noqa: S311 - repeatable, not secret
    number = 0
    while True:
        for fault in (*order.sample(faults, len(faults)), *_pairs(order, faults)):
            number += 1
            chance = Random(f"{seed}:{number}")  # noqa: S311 - as above
            yield Step(
                number, fault, chance.uniform(*_PAUSE_SECONDS), chance.uniform(*fault.hold), chance
            )


def _pairs(order: Random, faults: Sequence[Fault]) -> list[Fault]:
    """Something happens to the broker, and to what runs on it, at the same time."""
    broker = [fault for fault in faults if fault.of_broker]
    others = [fault for fault in faults if not fault.of_broker]
    count = min(len(broker), len(others))
    pairs = zip(order.sample(broker, count), order.sample(others, count), strict=True)
    return [together(first, second) for first, second in pairs]
