"""The real assembly of a service in a story: without threads, and noted where asked for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from jetmesh.declare import Handler, Service, Topology
from jetmesh.protocol.steps import Following
from jetmesh.runtime.assembly import Assembly
from jetmesh.runtime.injection import Injector
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.runner import HandlerRunner
from jetmesh.runtime.message.threads import Outcome, outcome_of
from jetmesh.testing.simulation import Connection, Server
from jetmesh.testing.story.record import Record, decided
from jetmesh.transport.seam import Waiter


class Played(Assembly):
    """Threads alone would make a story another one each time."""

    def __init__(
        self, service: Service, topology: Topology, injector: Injector, connection: Connection
    ) -> None:
        # whatever is in flight is older than a real clock could tell: it is prolonged
        super().__init__(service, topology, injector, connection, clock=lambda: math.inf)

    def runner_of(self, handler: Handler) -> Callable[..., HandlerRunner]:
        return _WithoutThreads if handler.threads else super().runner_of(handler)


class _WithoutThreads(HandlerRunner):
    def threads_of(self, handler: Handler) -> Any:
        return _Inline() if handler.threads else None


class _Inline:
    """Calls at once what threads would."""

    async def call(self, function: Callable[[], Any]) -> Outcome:
        await asyncio.sleep(0)
        return outcome_of(function)

    def close(self) -> None:
        """There is nothing to end."""


class Recorded(Played):
    """Notes steps of states, and whether an attempt had to see that its key has an outcome."""

    def __init__(
        self,
        service: Service,
        topology: Topology,
        injector: Injector,
        connection: Connection,
        *,
        record: Record,
    ) -> None:
        super().__init__(service, topology, injector, connection)
        self._record = record
        self._server = connection.server
        self._name = connection.name
        self._publish = connection.publish
        connection.publish = self._published  # type: ignore[method-assign] # noted on its way

    def runner_of(self, handler: Handler) -> Callable[..., HandlerRunner]:
        if handler.remembers is not None:
            return partial(self._noting_steps, super().runner_of(handler))
        if handler.runs == "inline":
            return super().runner_of(handler)
        return partial(_RecordedLook, self._server)

    def _noting_steps(self, make: Callable[..., Any], *about: Any, **more: Any) -> Any:
        runner = make(*about, **more)
        handle = runner.handle

        def handled(delivered: Delivered, value: Any, token: str) -> Any:
            state, following = handle(delivered, value, token)
            subject = f"{runner.remembering.state.subject}.{token}".encode()
            stored = [each for each in following if isinstance(each, Following)]
            self._record.took_in(self._name, delivered, subject, stored)
            return state, following

        runner.handle = handled
        return runner

    def _published(self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter) -> None:
        if any(subject.startswith(spec.subject.encode()) for spec in self.states):
            self._record.published(self._name, (subject, headers, payload))
        self._publish(subject, headers, payload, waiter)


class _RecordedLook(_WithoutThreads):
    """An outcome that is stored before an attempt looks for one has to keep it from running."""

    def __init__(self, server: Server, *about: Any, **more: Any) -> None:
        super().__init__(*about, **more)
        self._server = server

    async def _run_effect(self, delivered: Delivered) -> None:
        decided.set(self._outcome(delivered))
        await super()._run_effect(delivered)

    def _outcome(self, delivered: Delivered) -> str:
        self._read(delivered)
        if self.handler.input.key is None or self.outputs.has_more:
            return ""  # what may be missing is published by running again
        for deciding in self.outputs.deciding:
            log = self._server.stream(deciding.stream).log
            if found := log.last_on(deciding.decision_filter(delivered.key_token)):
                return f"{deciding.stream}:{found.sequence}"
        return ""
