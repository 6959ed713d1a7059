"""The topology: services, events, streams and durables as data, derived without a server."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Final

from msgspec import Struct

from jetmesh.declare.duration import Duration
from jetmesh.declare.event import EventSpec, matches
from jetmesh.declare.handler import Handler
from jetmesh.declare.policy import Policy
from jetmesh.declare.service import Service
from jetmesh.declare.supplied import ReadModel
from jetmesh.protocol.streams import LANES, is_cursor_stream, lane_stream

STALL_SECONDS: Final = 60.0
OUTSIDE: Final = "outside"
"""The source of an event that no handler here makes."""


class StreamTuning(Struct, frozen=True, kw_only=True):
    """What settings may change of a stream."""

    max_age: Duration = Duration(0)
    """How long events are kept, and with them decisions and the history of read models; 0s: for
    ever."""
    max_bytes: int = -1
    """At this size the stream refuses new events; -1: no limit."""
    replicas: int = 1
    """Servers that keep each event; with 3 the loss of one stops nothing and loses nothing."""
    duplicate_window: Duration = Duration(120)
    """How long the server remembers message ids: an output sent twice within it is stored once."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream: the events of one domain."""

    name: str
    subjects: tuple[str, ...]
    description: str
    tuning: StreamTuning = StreamTuning()  # noqa: RUF009 - frozen, so it can be shared
    schedules: bool = False
    """It delivers messages at a time that they name (ADR-51 of the server): lanes alone do."""
    history: int = -1
    """So many messages of each subject are kept; -1: all of them."""
    append_only: bool = False
    """The server removes nothing from it at anybody's word; only its limits do."""

    @property
    def section(self) -> str:
        """The name under which settings tune it: all lane streams have one, with their cursors."""
        return LANES if self.schedules or is_cursor_stream(self.name) else self.name


@dataclass(frozen=True, slots=True)
class DurableSpec:
    """The JetStream durable consumer of one handler on one stream."""

    stream: str
    name: str
    filters: tuple[str, ...]
    description: str
    start: str
    policy: Policy
    lane: bool = False
    """It is the handler's lane: slow retries and replayed dead letters, and no other service's."""

    @property
    def path(self) -> str:
        """How it is called where durables of several streams are: `ORDERS/payments-charge`."""
        return f"{self.stream}/{self.name}"

    @property
    def stall_seconds(self) -> float:
        """An ack floor that stands still for so long, with messages waiting, is no progress."""
        return self.policy.timeout + STALL_SECONDS


@dataclass(frozen=True, slots=True)
class SlotSpec:
    """A consumer with which one process of a read model reads one stream."""

    stream: str
    name: str
    filters: tuple[str, ...]
    reader: str
    """`<service>.<read model>`."""

    @property
    def path(self) -> str:
        """As that of a durable."""
        return f"{self.stream}/{self.name}"

    @property
    def description(self) -> str:
        return f"{self.reader} reads"


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that the declarations say, checked to be free of contradictions."""

    services: tuple[Service, ...]
    events: tuple[EventSpec, ...]
    streams: tuple[StreamSpec, ...]
    durables: tuple[DurableSpec, ...]
    owners: Mapping[EventSpec, str]
    """Which service publishes an event; an event without an owner comes from outside."""
    slots: tuple[SlotSpec, ...] = ()

    @property
    def handlers(self) -> tuple[Handler, ...]:
        return tuple(handler for service in self.services for handler in service.handlers)

    @property
    def from_outside(self) -> tuple[EventSpec, ...]:
        """The events that no handler here makes."""
        return tuple(spec for spec in self.events if spec not in self.owners)

    def only(self, names: Container[str]) -> Topology:
        """The same with no other streams, durables and slots than those of these names."""
        return replace(
            self,
            streams=tuple(each for each in self.streams if each.name in names),
            durables=tuple(each for each in self.durables if each.path in names),
            slots=tuple(each for each in self.slots if each.path in names),
        )

    def durable_of(self, handler: Handler) -> DurableSpec:
        """The durable of `handler` on the stream of its event."""
        return self._durable(handler.input.stream, handler.durable)

    def lane_of(self, handler: Handler) -> DurableSpec:
        """The durable of `handler` on its lane."""
        return self._durable(lane_stream(handler.service), handler.durable)

    def slots_of(self, service: Service, model: ReadModel, stream: str) -> list[SlotSpec]:
        """With which a read model reads a stream."""
        names = model.slots(service.name)
        return [each for each in self.slots if each.stream == stream and each.name in names]

    def readers(self, spec: EventSpec) -> list[str]:
        """`service.handler`, or `service` for a read model, of everyone who takes the event."""
        handlers = [h.title for h in self.handlers if h.input == spec]
        models = [s.name for s in self.services for m in s.read_models if spec in m.events]
        return handlers + models

    def sources(self, spec: EventSpec) -> list[str]:
        """The service that makes the event; else `outside`, and whoever lets it in from there."""
        if spec in self.owners:
            return [self.owners[spec]]
        return [OUTSIDE, *(s.name for s in self.services if spec in s.published)]

    def event(self, subject: str) -> EventSpec | None:
        """The event published on `subject`, keyed or not."""
        found = (e for e in self.events if any(matches(each, subject) for each in e.filters))
        return next(found, None)

    def _durable(self, stream: str, name: str) -> DurableSpec:
        return next(d for d in self.durables if (d.stream, d.name) == (stream, name))
