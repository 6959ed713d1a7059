"""A running service: started step by step, stopped without losing what it has in flight."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final, Self

import structlog

from jetmesh.declare import DurableSpec, ReadModel, Service, Topology, derive, permissions_of
from jetmesh.errors import JetmeshError
from jetmesh.privacy.mask import name_of, text_of
from jetmesh.runtime.assembly import Assembly
from jetmesh.runtime.cancelled import is_cancelled
from jetmesh.runtime.discovery import Discovery
from jetmesh.runtime.failures import failed
from jetmesh.runtime.health import Health
from jetmesh.runtime.http import HttpServer
from jetmesh.runtime.injection import Injector
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.runtime.parking import watch_parked
from jetmesh.runtime.prometheus import ServiceCollector, WithTheirs, negotiated
from jetmesh.runtime.provisioning import provision, wait_for_jetstream
from jetmesh.runtime.publishing import Publisher
from jetmesh.runtime.slots import Slots
from jetmesh.runtime.tracing.asked import metrics_for, parts_for
from jetmesh.runtime.unread import StrangeNote, Unread, UnreadLimit
from jetmesh.runtime.watch import DurableWatch, watch
from jetmesh.settings import Loaded
from jetmesh.transport.control import ControlPlane

_DRAIN_LOOK_SECONDS: Final = 0.02
_CLOSE_SECONDS: Final = 2.0

log = structlog.get_logger()


class Running:
    """`async with Running(service, loaded) as running:` runs until the block is left.

    The block is entered at once; `await running.started` for the moment when it consumes.
    """

    def __init__(self, service: Service, loaded: Loaded) -> None:
        self.health = Health()
        self.injector = Injector(service, loaded.of(service))
        self._service = service
        self._settings = loaded.settings
        self._identity = secrets.token_hex(8)
        self._topology: Topology = derive(
            [service],
            policies=loaded.policies([service]),
            streams=_own_streams(service, loaded),
            audited=False,
        )
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        nats = self._settings.nats
        self._needs = permissions_of(service, inbox_prefix=nats.inbox_prefix, js_api=nats.js_api)
        subjects = [spec.subject for spec in service.events]
        self._parts = parts_for(service.name, service.version, subjects)
        self._metrics = metrics_for(service.name, service.version)
        self._plane = self._parts.plane(nats, name=service.name, needs=self._needs)
        self._control: ControlPlane | None = None
        events = [spec.type for spec in service.published]
        wraps = service.publish_wraps
        self._publisher = Publisher(*events, name=service.name, wrap=wraps) if events else None
        about = service, self._topology, self.injector
        self._assembly = Assembly(*about, self._plane, parts=self._parts)
        self.consumers = self._assembly.consumers
        self.projections = self._assembly.projections
        self.http = HttpServer(  # last: it takes ports
            loaded.http(service.name), self.health, pages=bool(service.pages)
        )

    async def __aenter__(self) -> Self:
        self.http.start()
        self.started = asyncio.create_task(self._start())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.started.cancel()
        await asyncio.wait({self.started}, timeout=self._settings.grace)
        if self.started.done() and not self.started.cancelled():
            self.started.exception()  # whoever waited for the start was told
        await self._stop()

    # start

    async def _start(self) -> None:
        """Start step by step.

        Raises:
            JetmeshError: it cannot work like this; one sentence says why.
        """
        try:
            await self._connect()
            await self._prepare()
            await self._begin()
        except (JetmeshError, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("the start failed")
            raise failed(f"The start of {self._service.name}", error) from error

    async def _connect(self) -> None:
        self.health.starting = "waiting for the broker"
        self.health.sources.append(self._plane)
        await self._plane.connect()
        self._control = await ControlPlane.connect(
            self._settings.nats,
            name=f"{self._service.name} control",
            patient=True,
            needs=self._needs,
        )
        self.health.sources.append(self._control)
        self.injector.history.on(self._control)
        await wait_for_jetstream(self._control, self._say)

    async def _prepare(self) -> None:
        self.health.starting = "opening resources"
        if self._publisher is not None:
            self.health.sources.append(self._publisher.doubts)
            self.injector.supply(self._publisher.on(self._plane))
        await self.injector.open(self._stack)
        self._assembly.make()
        collector = ServiceCollector(
            self._service.name,
            self.consumers,
            self.projections,
            self._plane,
            lambda: not self.health.problems(),
        )
        self.http.show(self.injector.routes(), partial(negotiated, collector))
        self._metrics.begin(WithTheirs(collector))

    async def _begin(self) -> None:
        assert self._control is not None  # noqa: S101 - it is connected
        discovery = Discovery(
            self._service, self._identity, self.consumers, self.health.problems, self.projections
        )
        await discovery.serve(
            self._control
        )  # first: who waits for its streams is there, and says so
        self.health.starting = "provisioning"
        applies = self._settings.provision == "apply"
        known = await provision(self._control, self._topology, applies=applies, say=self._say)
        self._work(self._control, known)
        self.health.starting = ""
        http, health = self.http.url, self.http.health_url
        log.info("started", version=self._service.version, http=http, health=health)

    def _say(self, reason: str) -> None:
        self.health.starting = reason

    def _limit(self, unread: Iterable[Unread]) -> None:
        allowed = self._settings.may_skip
        self.health.sources += [UnreadLimit(each, allowed) for each in unread]

    def _slots(self, control: ControlPlane, model: ReadModel, stream: str) -> Slots:
        applies = self._settings.provision == "apply"
        specs = self._topology.slots_of(self._service, model, stream)
        return Slots(specs, control, applies=applies)

    def _work(self, control: ControlPlane, known: dict[str, dict[str, Any]]) -> None:
        applies = self._settings.provision == "apply"
        work = self._assembly
        work.read(control, partial(self._slots, control))
        self._tasks += work.consume(control)
        self._plane.on_connected.append(work.doubt)
        watches = [
            DurableWatch(spec, consumer, control, applies=applies, known=known.get(spec.path))
            for consumer in work.consumers
            for spec in self._durables_of(consumer)
        ]
        self._limit(consumer.runner.unread for consumer in work.consumers)
        self._limit(projection.unread for projection in work.projections)
        self.health.noting += [StrangeNote(each.strange) for each in work.projections]
        self.health.sources += [*work.sources, *watches]
        self._tasks.append(asyncio.create_task(watch(watches)))
        if orders := [consumer.order for consumer in work.consumers if consumer.order]:
            self.health.noting += [order.parked for order in orders]
            watching_parked = watch_parked(orders, control, self._plane.lookups)
            self._tasks.append(asyncio.create_task(watching_parked))

    def _durables_of(self, consumer: Consumer) -> tuple[DurableSpec, DurableSpec]:
        handler = consumer.handler
        return self._topology.durable_of(handler), self._topology.lane_of(handler)

    # stop

    async def _stop(self) -> None:
        """Stop pulling, finish what is in flight, give back the rest, flush, close.

        Pages are answered on meanwhile, and for `linger` at least.
        """
        lingering = asyncio.create_task(asyncio.sleep(self._linger()))
        self.health.starting = "stopping"
        self.http.leave()
        for consumer in self.consumers:
            await consumer.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.grace):
                await self._plane.flush()  # what the server sent before it read our UNSUB is here
                while any(consumer.in_flight for consumer in self.consumers):  # noqa: ASYNC110 - an event would cost every message
                    await asyncio.sleep(_DRAIN_LOOK_SECONDS)
        await self._assembly.quarantine.stop()
        given_back = [await consumer.give_back() for consumer in self.consumers]
        if sum(given_back):
            log.warning("given back unfinished", deliveries=sum(given_back))
        for steps in self._assembly.states.values():
            steps.stop()
        await lingering
        await self.http.stop()
        for projection in self.projections:
            projection.stop()
        if self._publisher is not None:
            self._publisher.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close()
        log.info("stopped")

    def _linger(self) -> float:
        """Whoever sends people here learns from /readyz, and not at once, to do it no more."""
        shown = self._service.pages and not self.health.starting
        return self._settings.linger if shown else 0.0

    async def _close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._plane.flush()
        await self._plane.close()
        if self._control is not None:
            await self._control.close()
        await asyncio.gather(self._parts.end(), self._metrics.end())
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._stack.aclose()
        except BaseException as error:
            if is_cancelled():
                raise
            # every delivery is settled: it may still end well
            name, text = name_of(error), text_of(error)
            log.error("a resource was not closed", error=name, message=text)  # noqa: TRY400 - the text says it


def _own_streams(service: Service, loaded: Loaded) -> dict[str, Any]:
    """Tunings of the streams that this service knows; others are for other services."""
    names = {stream.section for stream in derive([service], audited=False).streams}
    return {name: t for name, t in loaded.stream_tunings().items() if name in names}
