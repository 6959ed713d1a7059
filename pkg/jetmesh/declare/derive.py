"""Derive the topology from the declarations of services."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from jetmesh.declare.check import check
from jetmesh.declare.event import EventSpec
from jetmesh.declare.handler import Handler
from jetmesh.declare.policy import Policy
from jetmesh.declare.service import Service
from jetmesh.declare.state import StateSpec
from jetmesh.declare.topology import DurableSpec, SlotSpec, StreamSpec, StreamTuning, Topology
from jetmesh.protocol.streams import (
    AUDIT,
    DEADLETTERS,
    LANES,
    REFUSALS,
    cursor_stream,
    lane_stream,
)
from jetmesh.protocol.subjects import SUBJECTS, cursors_of, lane_subject, lanes_of


def derive(
    services: Iterable[Service],
    *,
    policies: Mapping[tuple[str, str], Policy] | None = None,
    streams: Mapping[str, StreamTuning] | None = None,
    audited: bool = True,
) -> Topology:
    """Derive the topology of `services`, with the policies and stream tuning that settings say.

    Without `audited` it lacks the stream of operators' acts: what a service alone may know of.

    Raises:
        TopologyError: the declarations contradict one another; it names every line to change.
    """
    services = tuple(services)
    found = dict.fromkeys(spec for service in services for spec in service.events)
    events = tuple(sorted(found, key=lambda spec: spec.subject))
    owners = {
        spec: service.name
        for service in services
        for handler in service.handlers
        for spec in handler.outputs
    }
    owners |= {h.remembers.state: h.service for s in services for h in s.handlers if h.remembers}
    tunings = streams or {}
    topology = Topology(
        services=services,
        events=events,
        streams=(
            *_streams(events, tunings),
            *(_audit_stream(tunings) if audited else ()),
            *_lane_streams(services, tunings),
            *_cursor_streams(services, tunings),
        ),
        durables=tuple(
            durable
            for service in services
            for handler in service.handlers
            for durable in _durables(handler, (policies or {}).get((service.name, handler.name)))
        ),
        owners=owners,
        slots=tuple(slot for service in services for slot in _slots(service)),
    )
    check(topology, tunings, alone=not audited)
    return topology


def _streams(
    events: tuple[EventSpec, ...], tunings: Mapping[str, StreamTuning]
) -> tuple[StreamSpec, ...]:
    states = [spec for spec in events if isinstance(spec, StateSpec)]
    domains = {
        spec.stream: spec.subject.partition(".")[0]
        for spec in events
        if not isinstance(spec, StateSpec)
    }
    own = {
        DEADLETTERS: "Messages given up, with their story in headers",
        REFUSALS: "Second outcomes that a decision refused",
    }
    described = {
        **{name: (f"{domain}.>", f"Events of {domain}") for name, domain in domains.items()},
        **{name: (SUBJECTS[name], text) for name, text in own.items()},
    }
    return (
        *(
            StreamSpec(name, (subject,), text, tunings.get(name, StreamTuning()))
            for name, (subject, text) in described.items()
        ),
        *(
            StreamSpec(
                spec.stream,
                (spec.filters[-1],),
                f"State {spec.title}: the newest of each key",
                tunings.get(spec.stream, StreamTuning()),
                history=spec.history,
            )
            for spec in states
        ),
    )


def _slots(service: Service) -> Iterator[SlotSpec]:
    for model in service.read_models:
        reader = f"{service.name}.{model.type.__name__}"
        for stream, filters in model.filters.items():
            yield from (SlotSpec(stream, n, filters, reader) for n in model.slots(service.name))


def _audit_stream(tunings: Mapping[str, StreamTuning]) -> Iterator[StreamSpec]:
    """Of operators: nobody takes anything out of it, they neither."""
    yield StreamSpec(
        AUDIT,
        (SUBJECTS[AUDIT],),
        "What operators did: replay, drop, heal, apply, advance",
        tunings.get(AUDIT, StreamTuning()),
        append_only=True,
    )


def _lane_streams(
    services: tuple[Service, ...], tunings: Mapping[str, StreamTuning]
) -> Iterator[StreamSpec]:
    """One for each service with handlers, all tuned alike."""
    for service in services:
        if service.handlers:
            yield StreamSpec(
                lane_stream(service.name),
                (lanes_of(service.name),),
                f"Slow retries and replayed dead letters of {service.name}",
                tunings.get(LANES, StreamTuning()),
                schedules=True,
            )


def _cursor_streams(
    services: tuple[Service, ...], tunings: Mapping[str, StreamTuning]
) -> Iterator[StreamSpec]:
    """One for each service with an ordered handler; what is kept of a key belongs to its lane."""
    for service in services:
        if any(handler.ordered for handler in service.handlers):
            yield StreamSpec(
                cursor_stream(service.name),
                (cursors_of(service.name),),
                f"How far the ordered handlers of {service.name} are with each key",
                tunings.get(LANES, StreamTuning()),
                history=1,
            )


def _durables(handler: Handler, policy: Policy | None) -> tuple[DurableSpec, DurableSpec]:
    """The durable on the event's stream, and the one on the handler's lane."""
    policy = policy or handler.policy
    name = handler.title
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
            stream=lane_stream(handler.service),
            name=handler.durable,
            filters=(lane_subject(handler.service, handler.name, "*"),),
            description=f"{name} tries again, {handler.input.subject}",
            start="all",
            policy=policy,
            lane=True,
        ),
    )
