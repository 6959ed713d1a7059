"""Play a story many times, each time in another order and with other faults, and judge the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from random import Random
from typing import Any, Final

import structlog

from jetmesh.testing.simulation import SECOND, Channel
from jetmesh.testing.simulation.agenda import Line
from jetmesh.testing.simulation.frames import Publish, Verdict
from jetmesh.testing.story import faults
from jetmesh.testing.story.outside import Given, Outside
from jetmesh.testing.story.promises import broken
from jetmesh.testing.story.record import Record
from jetmesh.testing.story.script import Script
from jetmesh.testing.story.world import World

_MOST_FAULTS: Final = 6
_FAULTY: Final = 0.04
"""The chance of a fault before each step, while some are left."""
_TWICE: Final = 0.2
"""The chance that somebody publishes an event twice, under one id."""
_PUBLISHED: Final = 0.12
"""The chance that the next event is published before something else happens."""
_DELAYED: Final = 0.02
"""The chance that time passes although something is on its way."""
_DELAYS: Final = (0.1, 1.5, 35.0)
_LATER: Final = (2.0, 300.0, 7200.0)
"""So many seconds later things come up once more: after hours no message id is known any more."""
_LONGEST: Final = 86_400 * SECOND
"""So much time may pass until everything has its end."""
_MOST_WAITS: Final = 2_000
_SHOWN: Final = 400

Check = Callable[[World], None]


class Play:
    """One seed."""

    def __init__(
        self, script: Script, given: Sequence[Given], replicas: int, seed: int, check: Check
    ) -> None:
        self.error: Exception | None = None
        """What was raised meanwhile, or by the check."""
        self.told: list[str] = []
        """What happened, step by step."""
        self._draw = draw = Random(seed)  # noqa: S311 - it is no secret
        self._record = Record()
        self._check = check
        self._left = list(given)
        self._waits = _MOST_WAITS // 10
        """Until it has to come to an end."""
        self._faults = draw.randint(0, _MOST_FAULTS)
        self._replicas = draw.randint(1, max(2, replicas))
        doubles = script.new_doubles()
        about: dict[str, Any] = {"replicas": self._replicas, "seed": seed}
        self._world = World(script, doubles, record=self._record, **about)
        self._world.on_step = self._note
        self._world.choose = draw.choice
        self._outside = Outside(self._world)

    def run(self) -> list[str]:
        """Every promise that does not hold."""
        world = self._world
        try:
            with world.randomness():
                self._act()
                self._pass(self._draw.choice(_LATER))
                self._faults += self._draw.randint(0, _MOST_FAULTS // 2)
                self._act()
            found = self._record.broken or list(broken(world, self._record))
            return found or self._checked()
        except Exception as error:  # noqa: BLE001 - whatever it is, its seed has to be known
            self.error = error
            return [f"it ended in {error!r}"]
        finally:
            world.end()

    def __str__(self) -> str:
        shown = [f"{n:5}  {text}" for n, text in enumerate(self.told, 1)]
        cut = [f"       … {len(shown) - _SHOWN} more"] if len(shown) > _SHOWN else []
        return "\n".join([f"{self._replicas} processes of each service", *shown[:_SHOWN], *cut])

    def _act(self) -> None:
        while not self._record.broken and self._happens():
            pass
        if not self._record.broken:
            self._come_to_an_end()

    def _happens(self) -> bool:
        """Let one thing happen; False: all that was given has come to rest."""
        draw, world = self._draw, self._world
        if self._faults and draw.random() < _FAULTY:
            self._faults -= 1
            if told := draw.choice(faults.ALL)(world, draw):
                self.told.append(told)
        elif self._left and draw.random() < _PUBLISHED:
            self._publish()
        elif self._waits > 0 and draw.random() < _DELAYED:
            self._waits -= 1
            self._pass(draw.choice(_DELAYS))
        elif not world.turn() and not (self._is_awaited and self._pass_time()):
            if not self._left:
                return self._faults > 0
            self._publish()
        return True

    @property
    def _is_awaited(self) -> bool:
        """Whether somebody is at something just now, and is not at it for ever."""
        self._waits -= 1
        return self._waits > 0 and any(p.has_work for p in self._world.processes.values())

    def _publish(self) -> None:
        given = self._left.pop(0)
        times = 1 + (self._draw.random() < _TWICE)
        for _ in range(times):
            self._outside.send(given)
        self.told.append(f"publish {given.event!r}{' twice' if times > 1 else ''}")

    def _come_to_an_end(self) -> None:
        """Nothing more goes wrong: what waits has its time."""
        world = self._world
        end = world.server.clock.now + _LONGEST
        for _ in range(_MOST_WAITS):
            while world.turn():
                pass
            due = world.server.clock.next_due()
            if due is None or due > end:
                return
            self._pass_time()

    def _pass(self, seconds: float) -> None:
        """Let time pass while nothing else happens, whatever is on its way."""
        self._world.leap(round(seconds * SECOND))
        self.told.append(f"{seconds} s pass")

    def _pass_time(self) -> bool:
        """Go on to the next time at which something happens; False: there is none."""
        before = self._world.server.clock.now
        passes = self._world.pass_time()
        if passes:
            seconds = (self._world.server.clock.now - before) / SECOND
            self.told.append(f"{seconds:.3f} s pass")
        return passes

    def _checked(self) -> list[str]:
        try:
            self._check(self._world)
        except Exception as error:  # noqa: BLE001 - whatever it is, its seed has to be known
            self.error = error
            return [f"check: {error if isinstance(error, AssertionError) else repr(error)}"]
        return []

    def _note(self, channel: Channel) -> None:
        """Say what it is; what a process does several times in a row, once."""
        if isinstance(channel, Line) and channel.waiting:
            frame = channel.waiting[0]
            what = f": {frame}" if isinstance(frame, Publish | Verdict) else ""
            self.told.append(f"{channel.name}{what}")
        elif not self.told or self.told[-1] != channel.name:
            self.told.append(channel.name)


@contextmanager
def _silent() -> Iterator[None]:
    """Without log lines: of a seed that fails, its replay shows them."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)


def explore(
    script: Script, given: Sequence[Given], replicas: int, seeds: Sequence[int], check: Check
) -> None:
    """Play every seed.

    Raises:
        AssertionError: a promise does not hold; it names the seed, and all that happened.
    """
    for seed in seeds:
        with nullcontext() if len(seeds) == 1 else _silent():
            play = Play(script, given, replicas, seed, check)
            found = play.run()
        if found:
            promises = "\n".join(f"  {each}" for each in found)
            raise AssertionError(
                f"With seed {seed} this does not hold:\n{promises}\n\n"
                f"What happened, with {play}\n\nAgain: story.explore(seed={seed})"
            ) from play.error
