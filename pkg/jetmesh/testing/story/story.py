"""`Story`: services in memory, for a test that tells what happens and looks at what came of it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, TypeVar

from msgspec import Struct

from jetmesh.declare import Service, StateSpec
from jetmesh.errors import UsageError
from jetmesh.protocol.times import time_at
from jetmesh.testing.story import reading
from jetmesh.testing.story.doubles import Effect
from jetmesh.testing.story.exploring import explore
from jetmesh.testing.story.outside import Given, Outside
from jetmesh.testing.story.reading import Letter, Retry
from jetmesh.testing.story.script import Script
from jetmesh.testing.story.world import World

_T = TypeVar("_T")
_E = TypeVar("_E", bound=Struct)
_MICROSECOND: Final = timedelta(microseconds=1)


class Story:
    """Services on a simulated server, in memory: no thread, no socket, no time but its own.

        story = Story(loyalty)
        story.given(payment_captured("p-1", customer="c-1", amount="60.00"))
        assert story.state(Account, "c-1").points == 60

    The services run as they do in production, on something that behaves as JetStream does. What
    they need from outside is a double: what the service declares with `@service.rehearsal`, or what
    is given here under the name of its resource, as `gateway=FakeGateway()`. `replicas`: so many
    processes of each service. `settings`: environment variables, as in production. `seed`: whatever
    is drawn at random, as the jitter of retries, follows from it.

    Raises:
        UsageError: a resource has no double, or none has the name of what is given.
        SettingsError: a setting without a default is missing.
    """

    def __init__(
        self,
        *services: Service,
        replicas: int = 1,
        settings: Mapping[str, str] | None = None,
        seed: int = 0,
        **doubles: Any,
    ) -> None:
        self._script = Script(services, settings or {}, doubles)
        self._replicas = replicas
        self._seed = seed
        self._world = World(self._script, doubles, replicas=replicas, seed=seed)
        self._outside = Outside(self._world)
        self._given: list[Given] = []
        weakref.finalize(self, self._world.end)

    # what happens

    def given(self, *events: Struct, message_id: str = "") -> None:
        """Publish events from outside, at once, and let happen what comes of them.

        Time passes for what handlers are at, and not for what waits: for that there is `advance`.
        `message_id`: published twice under one, an event is stored once.

        Raises:
            UsageError: nobody in this story handles such an event.
            ContractViolation: an event does not keep its contract.
            AlreadyDecided: its key has an outcome already.
        """
        new = [self._outside.message(event, message_id) for event in events]
        self._given += new
        told = [self._outside.send(each) for each in new]
        self._world.settle()
        for each in told:
            each.result()

    def advance(self, by: timedelta | float) -> None:
        """Let time pass, a number of seconds or a timedelta: what waits for it happens."""
        by = by if isinstance(by, timedelta) else timedelta(seconds=by)
        self._world.advance(by // _MICROSECOND * 1000)
        self._world.settle()

    @property
    def now(self) -> datetime:
        """The time in the story, in UTC; it begins at noon of the first day of 2026."""
        return time_at(self._world.server.clock.now)

    # what came of it

    def events(self, event_type: type[_E]) -> list[_E]:
        """All events of a type that are stored, in their order."""
        return reading.events(self._world.server, self._script.spec(event_type))

    def outcome(self, event_type: type[_E], key: str) -> _E | None:
        """The newest event of a type and key; None when there is none."""
        found = reading.events(self._world.server, self._script.spec(event_type), key)
        return found[-1] if found else None

    def state(self, state_type: type[_E], key: str) -> Any:
        """What is remembered of a key now; None when nothing is.

        Raises:
            UsageError: no service of this story has such a state.
        """
        spec = self._script.spec(state_type)
        if not isinstance(spec, StateSpec):
            raise UsageError(
                f"{state_type.__name__} is an event.", remedy="Use events(…) or outcome(…)."
            )
        return reading.state(self._world.server, spec, key)

    def read_model(self, model: type[_T]) -> _T:
        """A read model, as its service's first process has it.

        Raises:
            UsageError: no service of this story has such a read model.
        """
        for process in self._world.processes.values():
            if any(each.type is model for each in process.service.read_models):
                found: _T = process.read_model(model)
                return found
        raise UsageError(f"No service of this story folds a {model.__name__}.")

    def letters(self) -> list[Letter]:
        """Every dead letter."""
        return list(reading.letters(self._world.server))

    def retries(self) -> list[Retry]:
        """All that comes again when it is time, or when its `ack_wait` is over."""
        handlers = self._script.topology.handlers
        return [each for h in handlers for each in reading.retries(self._world.server, h)]

    def effects(self, resource: type | None = None) -> list[Effect]:
        """Every call that handlers made of their resources, perhaps only of one type."""
        return [e for e in self._world.effects if resource is None or e.resource is resource]

    def problems(self) -> list[str]:
        """Why something waits, in words, as /readyz says it."""
        return [text for each in self._world.processes.values() for text in each.problems]

    # faults

    def crash(self, service: Service, *, after: int = 0) -> None:
        """Kill a process of a service `after` steps from now, and start another one.

        What it had in flight comes again once `ack_wait` is over: `advance`.
        """
        self._of(service)
        self._world.crash(service, after)

    def lose_ack(self, service: Service, count: int = 1) -> None:
        """Lose the next verdicts of a service on their way to the server."""
        self._of(service)
        self._world.lost_acks[service.name] += count

    def redeliver(self, event: Struct) -> None:
        """Deliver an event once more, whoever has handled it, as a lost ack may do hours later.

        Raises:
            UsageError: it is not stored.
        """
        self._outside.redeliver(event)
        self._world.settle()

    def reorder(self, seed: int = 0) -> None:
        """From now on what is on its way arrives in any order that a real network allows."""
        self._world.choose = Random(seed).choice  # noqa: S311 - it is no secret

    def explore(
        self,
        *,
        seeds: int = 1000,
        seed: int | None = None,
        check: Callable[[Story], None] | None = None,
    ) -> None:
        """Publish what was given so far once more, in many other ways, and judge what comes of it.

        Each seed is a story of its own: in which order things happen, how many processes there are,
        which of them die, which acks, PubAcks and deliveries are lost, late or repeated. At the end
        it must hold what the declarations promise: one outcome of each decision, one effect of each
        input, each input in its state once and each output of that stored once, the same answer to
        the same input, one letter at most, and nothing without an end. `check` gets each story at
        its end, to assert more. `seed` plays that one again, with its log lines.

        Raises:
            AssertionError: something of it does not hold; it says with which seed, and after what.
            UsageError: nothing was given.
        """
        if not self._given:
            raise UsageError("There is nothing to explore.", remedy="story.given(…) before.")

        def judge(world: World) -> None:
            if check is not None:
                check(self._at(world))

        several = range(seeds) if seed is None else (seed,)
        explore(self._script, self._given, self._replicas, several, judge)

    @property
    def steps(self) -> int:
        """How many steps there were so far: what `crash(…, after=)` counts."""
        return self._world.steps

    def _at(self, world: World) -> Story:
        """The same story, as it went in another world."""
        found = object.__new__(Story)
        found.__dict__.update(self.__dict__, _world=world, _outside=Outside(world))
        return found

    def _of(self, service: Service) -> Service:
        if service not in self._script.services:
            raise UsageError(f"{service.name} is not in this story.", remedy="Story(…, it)")
        return service
