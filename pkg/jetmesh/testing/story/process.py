"""One process of a service in a story: its own loop, its own connection, the real assembly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jetmesh.declare import ReadModel, Service
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.slots import Slots
from jetmesh.testing.simulation.connection import Connection
from jetmesh.testing.simulation.control import Control
from jetmesh.testing.simulation.server import Server
from jetmesh.testing.story.cast import Cast
from jetmesh.testing.story.doubles import Doubles
from jetmesh.testing.story.loop import Loop
from jetmesh.testing.story.played import Played, Recorded
from jetmesh.testing.story.record import Record
from jetmesh.testing.story.script import Script


class Process:
    """Runs one service from its start to its death."""

    def __init__(
        self,
        script: Script,
        service: Service,
        number: int,
        *,
        server: Server,
        doubles: Doubles,
        record: Record | None = None,
    ) -> None:
        self.service = service
        self.name = f"{service.name}#{number}"
        self.loop = Loop(self.name, server)
        self.connection = Connection(server, self.name)
        self._record = record
        self._control = Control(server, self.name)
        self._topology = script.topologies[service.name]
        with self.loop.current():
            self._begin(Cast(service, script.settings[service.name], doubles, record))
        self.loop.is_idle = lambda: not self.has_work

    def _begin(self, cast: Cast) -> None:
        cast.history.on(self._control)
        self.read_model: Callable[[type], Any] = cast.__getitem__
        about = self.service, self._topology, cast, self.connection
        record = self._record
        self.assembly = Played(*about) if record is None else Recorded(*about, record=record)
        self.assembly.make()
        self.assembly.read(self._control, self._slots)
        self._tasks = self.assembly.consume(self._control)

    def _slots(self, model: ReadModel, stream: str) -> Slots:
        return Slots(self._topology.slots_of(self.service, model, stream), self._control)

    @property
    def has_work(self) -> bool:
        """Whether something is in flight, or on its way to the server."""
        several = self.assembly.consumers
        return bool(self.connection.publishes) or any(each.in_flight for each in several)

    @property
    def is_busy(self) -> bool:
        """Whether something goes on in it that ends by itself, if time passes."""
        return bool(self.connection.publishes) or any(self.unsettled)

    @property
    def unsettled(self) -> Iterator[Delivered]:
        """What it has in flight and does not just keep, as in an outage."""
        for consumer in self.assembly.consumers:
            if not consumer.runner.outage.reason and not consumer.runner.newer.reason:
                yield from consumer.in_flight.values()

    @property
    def problems(self) -> list[str]:
        """Why something of it waits, in words."""
        return [problem for source in self.assembly.sources if (problem := source.problem)]

    def kill(self) -> None:
        """As with kill -9: what it had is as if it had never been said."""
        self.connection.crash()
        self.loop.kill()
