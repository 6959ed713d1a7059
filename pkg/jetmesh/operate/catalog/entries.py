"""What the catalog says of each event and each service."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jetmesh.declare.event import EventSpec
from jetmesh.declare.service import Service
from jetmesh.declare.topology import Topology
from jetmesh.operate.catalog.fields import Row, rows
from jetmesh.operate.catalog.history import Version, history
from jetmesh.operate.evolution.readers import readers_of
from jetmesh.operate.evolution.released import Release, Released
from jetmesh.operate.example import made_up
from jetmesh.operate.processes.flow import Flow, flows
from jetmesh.operate.schemas import component_schemas, description_of


@dataclass(frozen=True, slots=True)
class Reader:
    """A handler or a read model that takes an event."""

    service: str
    name: str
    how: str
    """In words, with its durable."""
    text: str
    """What it does."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event, as its page shows it."""

    spec: EventSpec
    address: str
    text: Sequence[str]
    """Its description, by paragraphs."""
    fields: Sequence[Row]
    example: str
    """As JSON; empty where none can be made."""
    sources: Sequence[str]
    senders: Sequence[Reader]
    """The handlers that publish it."""
    readers: Sequence[Reader]
    versions: Sequence[Version]
    """The newest first."""
    looked_at: Mapping[str, Sequence[str]]
    """By the path of a field the services that read it; whoever declares nothing reads all."""
    flow: Flow | None = None
    """How its process goes, of a state with steps."""

    @property
    def reading(self) -> Sequence[str]:
        """The services that take it."""
        return sorted({reader.service for reader in self.readers})


@dataclass(frozen=True, slots=True)
class Deployed:
    """A service, and its events."""

    service: Service
    sends: list[Entry] = field(default_factory=list)
    reads: list[Entry] = field(default_factory=list)


def entries(topology: Topology, released: Released) -> list[Entry]:
    """Every event, by its subject."""
    names, schemas = component_schemas(topology.events, "{name}")
    return [
        _entry(spec, topology, rows(names[spec.type], schemas), released.of_event(spec.subject))
        for spec in topology.events
    ]


def services(topology: Topology, found: Sequence[Entry]) -> list[Deployed]:
    """Every service, by its name."""
    listed = sorted(topology.services, key=lambda service: service.name)
    return [
        Deployed(
            service,
            sends=[entry for entry in found if service.name in entry.sources],
            reads=[entry for entry in found if service.name in entry.reading],
        )
        for service in listed
    ]


def _entry(
    spec: EventSpec, topology: Topology, fields: Sequence[Row], releases: Sequence[Release]
) -> Entry:
    example = made_up(spec)
    return Entry(
        spec=spec,
        address=f"{spec.subject}.<{spec.key_name}>" if spec.key else spec.subject,
        text=description_of(spec.type).split("\n\n"),
        fields=fields,
        example="" if example is None else json.dumps(example, indent=2, ensure_ascii=False),
        sources=sorted(topology.sources(spec)),
        senders=_senders(spec, topology),
        readers=_readers(spec, topology),
        versions=history(spec, releases),
        looked_at={row.path: _looking(topology, spec, row.path) for row in fields},
        flow=next((flow for flow in flows(topology) if flow.spec == spec), None),
    )


def _looking(topology: Topology, spec: EventSpec, path: str) -> list[str]:
    return sorted({each.partition(".")[0] for each in readers_of(topology, spec, path)})


def _senders(spec: EventSpec, topology: Topology) -> list[Reader]:
    return [
        Reader(h.service, h.name, f"after {h.input.subject}", _summary(h.function))
        for h in sorted(topology.handlers, key=lambda h: h.durable)
        if spec in h.outputs
    ]


def _readers(spec: EventSpec, topology: Topology) -> list[Reader]:
    found = [
        Reader(h.service, h.name, f"handler, durable {h.durable}", _summary(h.function))
        for h in topology.handlers
        if h.input == spec
    ]
    found += [
        Reader(service.name, model.type.__name__, "read model", _summary(model.type))
        for service in topology.services
        for model in service.read_models
        if spec in model.events
    ]
    return sorted(found, key=lambda reader: (reader.service, reader.name))


def _summary(declared: object) -> str:
    return description_of(declared).partition("\n")[0]
