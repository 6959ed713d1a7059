"""AsyncAPI 3.0: one document per service, and the index of the system that they refer to.

The index holds every channel, message and schema, each said once. A service's document holds what
it sends and receives, and takes the messages from the index.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from jetmesh.declare.event import EventSpec
from jetmesh.declare.service import Service
from jetmesh.declare.system import System
from jetmesh.declare.topology import Topology
from jetmesh.operate.asyncapi.channels import JSON, channel, message, without_empty
from jetmesh.operate.asyncapi.operations import operations
from jetmesh.operate.schemas import component_schemas

VERSION: Final = "3.0.0"
INDEX: Final = "asyncapi.yaml"
FOLDER: Final = "asyncapi"
"""Of the services' documents, beside the index."""

_Node = dict[str, Any]


def index(system: System, topology: Topology) -> _Node:
    """Every event of the system, in an order that only declarations change."""
    return {
        "asyncapi": VERSION,
        "info": {
            "title": system.name,
            "version": system.version,
            "description": (
                "Every event of the system; what each service sends and receives is in its own "
                "document. An event with a key is published on its subject with the escaped key "
                "as last token."
            ),
            "tags": [
                without_empty(
                    {
                        "name": service.name,
                        "description": service.description,
                        "x-version": service.version,
                        "x-document": path_of(service),
                    }
                )
                for service in sorted(topology.services, key=lambda service: service.name)
            ],
        },
        "defaultContentType": JSON,
        "channels": {
            spec.subject: channel(spec, topology) | _people(spec, topology)
            for spec in topology.events
        },
        "components": _components(topology.events, topology),
    }


def of_service(service: Service, topology: Topology, *, complete: bool = False) -> _Node:
    """What `service` sends and receives.

    `complete`: the document also holds the messages, so that it can be read without the index.
    """
    specs = [spec for spec in topology.events if spec in service.events]
    messages = "" if complete else f"../{INDEX}"
    described = {
        "asyncapi": VERSION,
        "info": without_empty(
            {
                "title": service.name,
                "version": service.version,
                "description": service.description,
            }
        ),
        "defaultContentType": JSON,
        "channels": {spec.subject: channel(spec, topology, messages) for spec in specs},
        "operations": operations(service),
    }
    return described | ({"components": _components(specs, topology)} if complete else {})


def path_of(service: Service) -> str:
    """Where the document of a service is, from the index."""
    return f"{FOLDER}/{service.name}.yaml"


def _components(specs: Iterable[EventSpec], topology: Topology) -> _Node:
    specs = list(specs)
    names, schemas = component_schemas(specs, "#/components/schemas/{name}")
    return {
        "messages": {spec.subject: message(spec, names[spec.type], topology) for spec in specs},
        "schemas": schemas,
    }


def _people(spec: EventSpec, topology: Topology) -> _Node:
    readers = sorted(topology.readers(spec))  # they are in the order of the services
    return {"x-sent-by": sorted(topology.sources(spec)), "x-received-by": readers}
