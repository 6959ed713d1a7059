"""The topology: services, events, streams and durables as data, derived without a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from jetmesh.declare.duration import Duration
from jetmesh.declare.event import EventSpec
from jetmesh.declare.policy import Policy
from jetmesh.declare.service import Handler, Service

DEADLETTERS: Final = "DEADLETTERS"
REFUSALS: Final = "REFUSALS"
LANES: Final = "LANES"
OWN_STREAMS: Final = (DEADLETTERS, REFUSALS, LANES)
"""What the mesh itself keeps."""


class StreamTuning(Struct, frozen=True, kw_only=True):
    """What settings may change of a stream."""

    max_age: Duration = Duration(0)
    """How long events are kept, the horizon of decisions and read models; 0s is for ever."""
    max_bytes: int = -1
    """Above it the stream refuses new events; -1 is no limit."""
    replicas: int = 1
    duplicate_window: Duration = Duration(120)
    """How long the server remembers message ids."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream: the events of one domain."""

    name: str
    subjects: tuple[str, ...]
    description: str
    tuning: StreamTuning = StreamTuning()  # noqa: RUF009 - frozen, so it can be shared
    schedules: bool = False
    """It delivers messages at a time that they name (ADR-51 of the server)."""


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


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that the declarations say, checked to be free of contradictions."""

    services: tuple[Service, ...]
    events: tuple[EventSpec, ...]
    streams: tuple[StreamSpec, ...]
    durables: tuple[DurableSpec, ...]
    owners: Mapping[EventSpec, str]
    """Which service publishes an event; an event without an owner comes from outside."""

    @property
    def handlers(self) -> tuple[Handler, ...]:
        return tuple(handler for service in self.services for handler in service.handlers)

    def durable_of(self, handler: Handler) -> DurableSpec:
        """The durable of `handler` on the stream of its event."""
        return self._durable(handler.input.stream, handler.durable)

    def lane_of(self, handler: Handler) -> DurableSpec:
        """The durable of `handler` on its lane."""
        return self._durable(LANES, handler.durable)

    def readers(self, spec: EventSpec) -> list[str]:
        """`service.handler`, or `service` for a read model, of everyone who takes the event."""
        handlers = [f"{h.service}.{h.name}" for h in self.handlers if h.input == spec]
        models = [s.name for s in self.services for m in s.read_models if spec in m.events]
        return handlers + models

    def event(self, subject: str) -> EventSpec | None:
        """The event published on `subject`, keyed or not."""
        for spec in self.events:
            if subject == spec.subject or (
                spec.key
                and subject.startswith(spec.subject + ".")
                and "." not in subject[len(spec.subject) + 1 :]
            ):
                return spec
        return None

    def _durable(self, stream: str, name: str) -> DurableSpec:
        return next(d for d in self.durables if (d.stream, d.name) == (stream, name))

    def decision_pattern(self, stream: str) -> str | None:
        """The decision made in `stream`, if there is one."""
        return next((e.decision for e in self.events if e.stream == stream and e.decision), None)


def derive(
    services: Iterable[Service],
    *,
    policies: Mapping[tuple[str, str], Policy] | None = None,
    streams: Mapping[str, StreamTuning] | None = None,
) -> Topology:
    """Derive the topology of `services`, with the policies and stream tuning that settings say.

    Raises:
        TopologyError: the declarations contradict one another; it names every line to change.
    """
    from jetmesh.declare.check import check  # noqa: PLC0415 - the check reads these types

    services = tuple(services)
    events = _events(services)
    owners = {
        spec: service.name
        for service in services
        for handler in service.handlers
        for spec in handler.outputs
    }
    tunings = streams or {}
    topology = Topology(
        services=services,
        events=events,
        streams=_streams(events, tunings),
        durables=tuple(
            durable
            for service in services
            for handler in service.handlers
            for durable in _durables(handler, (policies or {}).get((service.name, handler.name)))
        ),
        owners=owners,
    )
    check(topology, tunings)
    return topology


def _events(services: tuple[Service, ...]) -> tuple[EventSpec, ...]:
    found: dict[EventSpec, None] = {}
    for service in services:
        for handler in service.handlers:
            found.update(dict.fromkeys((handler.input, *handler.outputs)))
        for model in service.read_models:
            found.update(dict.fromkeys(model.events))
    return tuple(sorted(found, key=lambda spec: spec.subject))


def _streams(
    events: tuple[EventSpec, ...], tunings: Mapping[str, StreamTuning]
) -> tuple[StreamSpec, ...]:
    domains = {spec.stream: spec.subject.partition(".")[0] for spec in events}
    own = {
        DEADLETTERS: ("deadletters.>", "Messages given up, with their story in headers"),
        REFUSALS: ("refusals.>", "Second outcomes that a decision refused"),
        LANES: ("lanes.>", "Slow retries and replayed dead letters, each for one handler"),
    }
    described = {
        **{name: (f"{domain}.>", f"Events of {domain}") for name, domain in domains.items()},
        **own,
    }
    return tuple(
        StreamSpec(name, (subject,), text, tunings.get(name, StreamTuning()), name == LANES)
        for name, (subject, text) in described.items()
    )


def _durables(handler: Handler, policy: Policy | None) -> tuple[DurableSpec, DurableSpec]:
    """The durable on the event's stream, and the one on the handler's lane."""
    policy = policy or handler.policy
    name = f"{handler.service}.{handler.name}"
    return (
        DurableSpec(
            stream=handler.input.stream,
            name=handler.durable,
            filters=handler.input.filters,
            description=f"{name} handles {handler.input.subject}",
            start=handler.start,
            policy=policy,
        ),
        DurableSpec(
            stream=LANES,
            name=handler.durable,
            filters=(f"lanes.{name}.*",),
            description=f"{name} tries again, {handler.input.subject}",
            start="all",
            policy=policy,
            lane=True,
        ),
    )
