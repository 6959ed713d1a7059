"""A simulated server and the processes on it: what happens next, and how time passes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from jetmesh.declare import Service
from jetmesh.testing.simulation.agenda import Channel, Choose, first
from jetmesh.testing.simulation.clock import SECOND
from jetmesh.testing.simulation.connection import Connection
from jetmesh.testing.simulation.server import Server
from jetmesh.testing.story.doubles import Doubles, Effect
from jetmesh.testing.story.loop import Loop
from jetmesh.testing.story.process import Process
from jetmesh.testing.story.record import Record
from jetmesh.testing.story.script import Script

_MOST: Final = 1_000_000
_PATIENCE: Final = 60 * SECOND
"""So much time passes at most until what a process is at has ended."""


class World:
    """Lets one thing happen after another; everything follows from who chooses what is next."""

    def __init__(
        self,
        script: Script,
        doubles: Mapping[str, Any],
        *,
        replicas: int = 1,
        seed: int = 0,
        record: Record | None = None,
    ) -> None:
        self.script = script
        self.effects: list[Effect] = []
        self.choose: Choose = first
        self.steps = 0
        self.on_step: Callable[[Channel], None] = lambda _: None
        """Hears what happens next."""
        self.server: Server = script.server()
        self.lost_acks: Counter[str] = Counter()
        """How many of its next verdicts a service loses."""
        self._crashes: list[tuple[int, Service]] = []
        """At which step a process dies."""
        self._record = record
        self._random = random.Random(seed).getstate()  # noqa: S311 - it is no secret
        self._started: Counter[str] = Counter()
        self._doubles = {
            s.name: Doubles(s, script.settings[s.name], doubles, self.effects)
            for s in script.services
        }
        self.outside = Connection(self.server, "outside")
        self.outside_loop = Loop("outside", self.server)
        self.is_awaited: Callable[[], bool] = lambda: False
        """Whether somebody outside waits for an answer."""
        self._loops = {"outside": self.outside_loop}
        self.processes: dict[str, Process] = {}
        with self.randomness():
            for service in script.services:
                for _ in range(replicas):
                    self.start(service)

    @contextmanager
    def randomness(self) -> Iterator[None]:
        """In the block jitter and all that is drawn at random follows from the story's seed."""
        outer = random.getstate()
        random.setstate(self._random)
        try:
            yield
        finally:
            self._random = random.getstate()
            random.setstate(outer)

    # processes

    def start(self, service: Service) -> Process:
        """Begin one more process of a service."""
        self._started[service.name] += 1
        made = Process(
            self.script,
            service,
            self._started[service.name],
            server=self.server,
            doubles=self._doubles[service.name],
            record=self._record,
        )
        self.processes[made.name] = made
        self._loops[made.name] = made.loop
        return made

    def of(self, service: Service) -> list[Process]:
        """The processes of a service that live."""
        return [each for each in self.processes.values() if each.service is service]

    def replace(self, process: Process) -> Process:
        """Kill a process, and start another one in its place."""
        del self.processes[process.name], self._loops[process.name]
        process.kill()
        return self.start(process.service)

    def end(self) -> None:
        """Nothing happens any more."""
        while self.processes:
            self.processes.popitem()[1].kill()
        self.outside_loop.kill()

    def crash(self, service: Service, after: int) -> None:
        """Replace a process of a service so many steps from now."""
        self._crashes.append((self.steps + after, service))

    # what happens

    def settle(self) -> None:
        """Let happen what happens by itself; time passes for what is being done just now."""
        end = self.server.clock.now + _PATIENCE
        with self.randomness():
            self._run()
            while self._is_busy and self._ring(end):
                self._run()

    def advance(self, nanoseconds: int) -> None:
        """Time passes, and what is due meanwhile happens at its time."""
        end = self.server.clock.now + nanoseconds
        with self.randomness():
            self._run()
            while self._ring(end):
                self._run()
            self._run()

    def turn(self) -> bool:
        """Let one thing happen; False: nothing is on its way."""
        self._crash_what_is_due()
        ready = self.server.agenda.ready
        if not ready:
            return False
        self.step(self.choose(ready))
        return True

    def step(self, channel: Channel) -> None:
        """Let the next thing of a channel happen."""
        self.steps += 1
        self.on_step(channel)
        name = channel.name.partition(": ")[0]
        if self.lost_acks and self._loses(name, channel):
            self.processes[name].connection.lose_verdict()
            return
        with self._loops[name].current():
            channel.step()

    def pass_time(self) -> bool:
        """Move to the next time at which something happens; False: there is none."""
        due = self.server.clock.next_due()
        return due is not None and self._ring(due)

    def leap(self, nanoseconds: int) -> None:
        """Be so much later at once, as after a pause of everybody: all that was due is due now."""
        clock = self.server.clock
        clock.now += nanoseconds
        self._ring(clock.now)

    @property
    def _is_busy(self) -> bool:
        return self.is_awaited() or any(each.is_busy for each in self.processes.values())

    def _run(self) -> None:
        for _ in range(_MOST):
            if not self.turn():
                return
        raise RuntimeError(f"after {_MOST:,} steps something still happens, and no time passes")

    def _ring(self, end: int) -> bool:
        rang = self.server.clock.ring_until(end)
        for process in self.processes.values():
            process.loop.ring()  # its housekeeping, which makes no time pass
        return rang

    def _crash_what_is_due(self) -> None:
        for crash in [each for each in self._crashes if each[0] <= self.steps]:
            self._crashes.remove(crash)
            living = self.of(crash[1])
            busy = [each for each in living if each.is_busy]
            self.replace((busy or living)[0])

    def _loses(self, name: str, channel: Channel) -> bool:
        """Whether what arrives next at the server is a verdict that is to be lost."""
        process = self.processes.get(name)
        if process is None or channel is not process.connection.sent:
            return False
        lost = process.connection.verdict_is_next and self.lost_acks[process.service.name] > 0
        self.lost_acks[process.service.name] -= lost
        return lost
