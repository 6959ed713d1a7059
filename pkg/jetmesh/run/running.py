"""A running service: started step by step, stopped without losing what it has in flight."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any, Final, Self

import structlog

from jetmesh.declare import Service, Topology, derive
from jetmesh.errors import DriftError
from jetmesh.run.consumer import Consumer
from jetmesh.run.discovery import Discovery
from jetmesh.run.health import DurableWatch, Health, watch
from jetmesh.run.history import History
from jetmesh.run.http import HttpServer
from jetmesh.run.prometheus import ServiceCollector, exposition
from jetmesh.run.supplies import Supplies
from jetmesh.settings import Loaded
from jetmesh.transport.control import ControlPlane, StoredMessage
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.provision import apply, plan

_DRAIN_LOOK_SECONDS: Final = 0.02
_DRIFT_LOOK_SECONDS: Final = 2.0

log = structlog.get_logger()


class Running:
    """`async with Running(service, loaded) as running:` runs until the block is left.

    The block is entered at once; `await running.started` for the moment when it consumes.
    """

    def __init__(self, service: Service, loaded: Loaded) -> None:
        self.health = Health()
        self.consumers: list[Consumer] = []
        self.histories: list[History] = []
        self.supplies = Supplies(service, loaded.of(service))
        self._service = service
        self._loaded = loaded
        self._settings = loaded.settings
        self._identity = secrets.token_hex(8)
        self._topology: Topology = derive(
            [service],
            policies=loaded.policies([service]),
            streams=_own_streams(service, loaded),
        )
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self.http = HttpServer(self._settings.http, self.health)
        self._plane = DataPlane(self._settings.nats, name=service.name)
        self._control: ControlPlane | None = None

    async def __aenter__(self) -> Self:
        self.http.start()
        self.started = asyncio.create_task(self._start())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.started.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.started
        await self._stop()

    # start

    async def _start(self) -> None:
        self.health.starting = "waiting for the broker"
        self.health.sources.append(self._plane)
        await self._plane.connect()
        control = self._control = await ControlPlane.connect(
            self._settings.nats, name=f"{self._service.name} control", patient=True
        )
        await control.check_server()
        self.health.starting = "opening resources"
        await self.supplies.open(self._stack)
        self._make_consumers()
        self.http.show(
            [
                route
                for web in self._service.pages
                for route in web.function(**self.supplies.of(web.needs))
            ],
            lambda: exposition(self._collector()),
        )
        self.health.starting = "provisioning"
        await self._provision(control)
        self._read_history(control)
        await Discovery(self._service, self._identity, self.consumers).serve(control)
        self._consume(control)
        self.health.starting = ""
        log.info("started", version=self._service.version, http=self.http.url)

    def _make_consumers(self) -> None:
        for handler, durable in zip(self._topology.handlers, self._topology.durables, strict=True):
            consumer = Consumer(
                handler,
                version=self._service.version,
                policy=durable.policy,
                transport=self._plane,
                look_up=self._look_up,
                supplied=self.supplies.of(handler.needs),
            )
            self.consumers.append(consumer)

    async def _provision(self, control: ControlPlane) -> None:
        """Make streams and durables, or wait until somebody who may has made them."""
        while True:
            planned = await plan(control, self._topology)
            if not planned.changes:
                return
            if self._settings.provision == "apply":
                try:
                    await apply(control, planned)
                except DriftError as error:
                    # another process may have made the same thing just now: look again
                    again = await plan(control, self._topology)
                    if again.refused:
                        self._wait_for_apply(str(error))
                else:
                    continue
            else:
                self._wait_for_apply("; ".join(map(str, planned.changes)))
            await asyncio.sleep(_DRIFT_LOOK_SECONDS if self.health.starting else 0)

    def _wait_for_apply(self, difference: str) -> None:
        text = f"the server differs from the declaration: {difference}; run jetmesh apply"
        if text != self.health.starting:
            log.warning("waiting for jetmesh apply", difference=difference)
        self.health.starting = text

    def _read_history(self, control: ControlPlane) -> None:
        for model in self._service.read_models:
            instance = self.supplies[model.type]
            for stream in dict.fromkeys(spec.stream for spec in model.events):
                events = [spec for spec in model.events if spec.stream == stream]
                history = History(
                    stream, events, instance.apply, plane=self._plane, control=control
                )
                self.histories.append(history)
                history.start()
        self.health.sources += self.histories

    def _consume(self, control: ControlPlane) -> None:
        watches = []
        for consumer, durable in zip(self.consumers, self._topology.durables, strict=True):
            consumer.inflow.start()
            watches.append(DurableWatch(durable, consumer, control))
            self.health.sources.append(consumer.inflow)
        self.health.sources += watches
        self._tasks.append(asyncio.create_task(watch(watches)))
        self._tasks.append(asyncio.create_task(self._keep_alive()))

    async def _keep_alive(self) -> None:
        """Prolong long deliveries, often enough for the shortest ack_wait."""
        shortest = min((c.policy.ack_wait for c in self.consumers), default=30.0)
        while True:
            await asyncio.sleep(shortest / 6)
            now = perf_counter()
            for consumer in self.consumers:
                consumer.keep_alive(now)

    async def _look_up(self, stream: str, subject: str) -> StoredMessage | None:
        assert self._control is not None  # noqa: S101 - nothing is consumed before
        return await self._control.last(stream, subject)

    def _collector(self) -> ServiceCollector:
        return ServiceCollector(
            self._service.name, self.consumers, self._plane, lambda: not self.health.problems()
        )

    # stop

    async def _stop(self) -> None:
        """Stop pulling, finish what is in flight, give back the rest, flush, close."""
        self.health.starting = "stopping"
        for consumer in self.consumers:
            consumer.inflow.stop()
        for history in self.histories:
            history.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.grace):
                await self._plane.flush()  # what the server sent before it read our UNSUB is here
                while any(consumer.in_flight for consumer in self.consumers):  # noqa: ASYNC110 - an event would cost every message
                    await asyncio.sleep(_DRAIN_LOOK_SECONDS)
        given_back = [await consumer.give_back() for consumer in self.consumers]
        if sum(given_back):
            log.warning("given back unfinished", deliveries=sum(given_back))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close()
        log.info("stopped")

    async def _close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self._plane.flush()
        await self._plane.close()
        if self._control is not None:
            await self._control.close()
        await self._stack.aclose()
        await self.http.stop()


def _own_streams(service: Service, loaded: Loaded) -> dict[str, Any]:
    """Tunings of the streams that this service knows; others are for other services."""
    names = {stream.name for stream in derive([service]).streams}
    return {name: t for name, t in loaded.stream_tunings().items() if name in names}
