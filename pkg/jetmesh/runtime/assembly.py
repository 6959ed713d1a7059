"""A service at work: its handlers, states and read models, whatever carries the messages.

`running.py` puts it on a connection, `testing/story/` on a simulation; neither does it once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from time import perf_counter

from jetmesh.declare import Handler, ReadModel, Service, StateSpec, Topology
from jetmesh.runtime.floors import watching
from jetmesh.runtime.health import Source
from jetmesh.runtime.injection import Injector
from jetmesh.runtime.message.belief import Evidence
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.runtime.message.quarantine import Quarantine
from jetmesh.runtime.message.runner import HandlerRunner
from jetmesh.runtime.message.states.remembering import states_of, steps_of
from jetmesh.runtime.message.states.steps import Steps
from jetmesh.runtime.projection import Projection, projections_of
from jetmesh.runtime.slots import Slots
from jetmesh.runtime.tracing.parts import UNTRACED, Parts
from jetmesh.transport.outcomes import Outcomes
from jetmesh.transport.seam import Control, Transport


class Assembly:
    """Everything of one service between the seam and its functions."""

    def __init__(
        self,
        service: Service,
        topology: Topology,
        injector: Injector,
        transport: Transport,
        *,
        parts: Parts = UNTRACED,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.consumers: list[Consumer] = []
        self.states: dict[StateSpec, Steps] = {}
        self.projections: list[Projection] = []
        self.quarantine = Quarantine(self._marks, self._busy)
        self._service = service
        self._topology = topology
        self._injector = injector
        self._transport = transport
        self._parts = parts
        self._clock = clock
        self._control: Control | None = None

    def make(self) -> None:
        """Make a consumer for each handler; everything that handlers need is there."""
        looks = self._transport.lookups
        evidence = Evidence(looks, Outcomes.of(self._service))
        kept = {stream.name: stream.tuning.max_age for stream in self._topology.streams}
        for spec in states_of(self._topology.handlers):
            steps = steps_of(spec, self._transport, looks, self._parts.steps)
            steps.kept_for = kept[spec.stream]
            self.states[spec] = steps
        for handler in self._topology.handlers:
            supplied = self._injector.with_reaction(handler)
            consumer = Consumer(
                supplied,
                version=self._service.version,
                policy=self._topology.durable_of(handler).policy,
                transport=self._transport,
                evidence=evidence,
                injected=self._injector.of(supplied.needs),
                quarantine=self.quarantine,
                runner=self.runner_of(handler),
            )
            self.consumers.append(consumer)
        self.quarantine.on_change = self._adjust

    def runner_of(self, handler: Handler) -> Callable[..., HandlerRunner]:
        """What makes the runner of a handler."""
        remembers = handler.remembers
        if remembers is None:
            return self._parts.runner
        steps = self.states[remembers.state]
        kind = self._parts.mover if remembers.moves else self._parts.rememberer
        return partial(kind, remembering=remembers, steps=steps)

    def read(self, control: Control, slots: Callable[[ReadModel, str], Slots]) -> None:
        """Begin to fold history into the read models."""
        for model in self._service.read_models:
            self.projections += projections_of(
                model,
                self._injector[model.type],
                slots=partial(slots, model),
                plane=self._transport,
                control=control,
            )
        for projection in self.projections:
            projection.start()

    def consume(self, control: Control) -> list[asyncio.Task[None]]:
        """Begin to pull; what has to run meanwhile, until it is cancelled."""
        self._control = control
        self.doubt()
        for consumer in self.consumers:
            consumer.start()
        runners = [each for it in self.consumers for each in (it.runner, it.order)]
        tasks = watching(runners, self._topology, control)
        return [*tasks, asyncio.create_task(self._keep_alive())]

    def doubt(self) -> None:
        """The connection is a new one: look whether guards guard."""
        for consumer in self.consumers:
            consumer.runner.guards.doubt()

    @property
    def sources(self) -> Iterator[Source]:
        """What may say why something of it waits."""
        yield from self.states.values()
        yield self.quarantine
        yield from chain.from_iterable(map(_sources, self.consumers))
        yield from self.projections

    async def _keep_alive(self) -> None:
        """Prolong long deliveries, often enough for the shortest ack_wait."""
        shortest = min((c.policy.ack_wait for c in self.consumers), default=30.0)
        while True:
            await asyncio.sleep(shortest / 6)
            now = self._clock()
            for consumer in self.consumers:
                consumer.keep_alive(now)

    def _marks(self) -> Control:
        assert self._control is not None  # noqa: S101 - nothing is consumed before
        return self._control

    def _busy(self) -> list[asyncio.Task[None]]:
        """Handlers at work."""
        return [task for consumer in self.consumers for task in consumer.runner.tasks]

    def _adjust(self) -> None:
        for consumer in self.consumers:
            consumer.adjust()


def _sources(consumer: Consumer) -> Iterator[Source]:
    runner = consumer.runner
    yield from (consumer.inflow, consumer.lane)
    yield from (runner.outage, runner.newer, runner.asking, runner.guards)
    yield consumer.verdicts.unstorable
    for each in (consumer.order, consumer.letting_go):
        if each is not None:
            yield each
