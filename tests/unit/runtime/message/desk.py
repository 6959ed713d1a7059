"""A service `desk` with one handler at work, on a transport without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from jetmesh import Policy, Service, event, wire
from jetmesh.declare import Duration, Handler, spec_of
from jetmesh.errors import BrokerError
from jetmesh.protocol.lanes import Origin
from jetmesh.protocol.streams import lane_stream
from jetmesh.protocol.times import nanoseconds_of
from jetmesh.runtime.message.belief import Evidence
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.runtime.message.quarantine import Quarantine
from jetmesh.transport.outcomes import Outcomes
from jetmesh.transport.stored import PubAck, StoredMessage
from tests.unit.runtime.message.wire import STORED_NS, Source, Wire

STREAM = "DESK_IN"


@event("desk-in.placed", key="order_id")
class Placed(Struct, frozen=True):
    order_id: str
    note: str = ""


@event("desk-in.ticked")
class Ticked(Struct, frozen=True):
    number: int = 0


@event("desk.accepted", key="order_id", decision="desk.*")
class Accepted(Struct, frozen=True):
    order_id: str
    by: Any = None


@event("desk.refused", key="order_id", decision="desk.*")
class Refused(Struct, frozen=True):
    order_id: str


@event("desk-ship.sent", key="order_id", decision="desk-ship.*")
class Shipped(Struct, frozen=True):
    order_id: str


@event("desk-log.noted", key="note_id")
class Noted(Struct, frozen=True):
    note_id: str
    about: Any = None


PLACED = Placed("k-1")
QUICK = Policy(backoff=Duration(0.001), backoff_cap=Duration(0.002))
"""Pauses of milliseconds."""


class Streams:
    """What the streams hold (`belief.Looks`), by the filter that is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.held: dict[str, StoredMessage] = {}
        self.error: BrokerError | None = None
        """Why there is no answer."""

    def hold(
        self, wanted: str, subject: str, message_id: str = "", payload: bytes | None = None
    ) -> None:
        """By default what its key says, made by this service for another message."""
        message_id = message_id or message_id_of_another(subject)
        if payload is None:
            payload = msgspec.json.encode({"order_id": subject.rpartition(".")[2]})
        headers = {"Nats-Msg-Id": message_id}
        self.held[wanted] = StoredMessage("DESK", 99, subject, headers, payload, STORED_NS)

    async def since(self, stream: str, subject: str, sequence: int) -> StoredMessage | None:
        found = self.held.get(f"{subject} since {sequence}")
        self.asked.append((stream, f"{subject} since {sequence}"))
        return found

    async def newest(self, stream: str, subject: str) -> StoredMessage | None:
        return await self.last(stream, subject)

    async def last(self, stream: str, subject: str) -> StoredMessage | None:
        self.asked.append((stream, subject))
        if self.error is not None:
            raise self.error
        return self.held.get(subject)


class NoMarks:
    """Stores no marks of deliveries that run alone, and says that it did (`quarantine.Marks`)."""

    async def last(self, _stream: str, _subject: str) -> StoredMessage | None:
        return None

    async def publish(
        self, _subject: str, _payload: bytes, _headers: dict[str, str] | None = None
    ) -> PubAck:
        return PubAck(lane_stream("desk"), 1, duplicate=False)

    async def forget(self, _stream: str, _subject: str) -> None: ...


def handler_of(
    function: Callable[..., Any], on: type[Struct] = Placed, threads: int = 0
) -> Handler:
    """The handler that `function` is, declared on an event."""
    service = Service("desk")
    service.on(on, threads=threads)(function)
    return service.handlers[0]


class Desk:
    """One consumer, and what it hears and says."""

    def __init__(
        self,
        function: Callable[..., Any] | Handler,
        *,
        on: type[Struct] = Placed,
        policy: Policy = QUICK,
        wire: Wire | None = None,
        injected: Mapping[str, Any] | None = None,
        threads: int = 0,
    ) -> None:
        self.wire = wire or Wire()
        self.streams = Streams()
        self.quarantine = Quarantine(NoMarks, lambda: [*self.consumer.runner.tasks])
        handler = function if isinstance(function, Handler) else handler_of(function, on, threads)
        self.consumer = Consumer(
            handler,
            version="1.2.3",
            policy=policy,
            transport=self.wire,
            evidence=Evidence(self.streams, Outcomes(handler.service, handler.outputs)),
            injected=injected or {},
            quarantine=self.quarantine,
        )
        self.quarantine.on_change = self.consumer.adjust
        self.stats = self.consumer.stats

    @property
    def source(self) -> Source:
        return self.wire.sources[self.consumer.handler.input.stream]

    @property
    def lane(self) -> Source:
        return self.wire.sources[lane_stream("desk")]

    @property
    def in_flight(self) -> int:
        return len(self.consumer.in_flight)

    def deliver(
        self,
        given: Struct | bytes = PLACED,
        sequence: int = 1,
        number: int = 1,
        *,
        headers: Mapping[str, str] | None = None,
        stored_ns: int = STORED_NS,
        domain: str = "",
    ) -> bytes:
        """Deliver an event, or raw bytes as the event that is handled; the subject to ack on."""
        reply = self.source.reply(sequence, number, stored_ns=stored_ns, domain=domain)
        block = wire.block(headers) if headers else b""
        self.source.deliver(self._subject(given), reply, payload_of(given), block)
        return reply

    def deliver_on_lane(
        self,
        given: Struct | bytes = PLACED,
        sequence: int = 1,
        number: int = 1,
        *,
        origin: Origin | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Deliver what stands for `origin`; for what `headers` say when there is none."""
        block = wire.block({**(origin.headers() if origin else {}), **(headers or {})})
        reply = self.lane.reply(sequence, number)
        self.lane.deliver("lanes.desk.look.k-1", reply, payload_of(given), block)
        return reply

    def _subject(self, given: Struct | bytes) -> str:
        spec = self.consumer.handler.input
        if isinstance(given, bytes) or spec_of(type(given)) is not spec or spec.key is None:
            return spec.subject
        return f"{spec.subject}.{getattr(given, spec.key)}"


def origin(sequence: int = 17, *, attempts: int = 1, replays: int = 0) -> Origin:
    """An event of the handler's stream that failed before."""
    return Origin("desk-in.placed.k-1", STREAM, str(sequence), STORED_NS, attempts, replays)


def rounded(nanoseconds: int) -> int:
    """The time as versions wrote it that had only microseconds."""
    return nanoseconds_of(datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat())


def payload_of(given: Struct | bytes) -> bytes:
    return given if isinstance(given, bytes) else msgspec.json.encode(given)


def message_id(handler: str, sequence: int, subject: str) -> str:
    """The id of what `handler` publishes for the input with this sequence."""
    return f"desk:{handler}:{STREAM}:{sequence}-{STORED_NS}:{subject}"


def message_id_of_another(subject: str) -> str:
    """The id of what the service made for another message."""
    return message_id("look", 4711, subject)


async def all_that_can_run() -> None:
    """Let every task go on until it waits for something that does not happen by itself."""
    for _ in range(20):
        await asyncio.sleep(0)
