"""The AsyncAPI 3.0 document of a system: what is published where, and who sends and reads it."""

from __future__ import annotations

from typing import Any, Final

from jetmesh.declare.event import EventSpec
from jetmesh.declare.handler import Handler
from jetmesh.declare.service import Service
from jetmesh.declare.supplied import ReadModel
from jetmesh.declare.system import System
from jetmesh.declare.topology import Topology
from jetmesh.operate.schemas import component_schemas, description_of
from jetmesh.protocol.headers import MESSAGE_ID

VERSION: Final = "3.0.0"
JSON: Final = "application/json"

_Node = dict[str, Any]


def document(system: System, topology: Topology) -> _Node:
    """The document, in an order that only declarations change."""
    names, schemas = component_schemas(topology.events, "#/components/schemas/{name}")
    return {
        "asyncapi": VERSION,
        "info": _info(system, topology),
        "defaultContentType": JSON,
        "channels": {spec.subject: _channel(spec, topology) for spec in topology.events},
        "operations": dict(sorted(_operations(topology).items())),
        "components": {
            "messages": {
                spec.subject: _message(spec, names[spec.type], topology) for spec in topology.events
            },
            "schemas": schemas,
        },
    }


def _info(system: System, topology: Topology) -> _Node:
    services = sorted(topology.services, key=lambda service: service.name)
    return {
        "title": system.name,
        "version": system.version,
        "description": (
            "Every event of the system, with who sends and who reads it. An event with a key is "
            "published on its subject with the escaped key as last token."
        ),
        "tags": [
            _without_empty({"name": s.name, "description": s.description, "x-version": s.version})
            for s in services
        ],
    }


def _channel(spec: EventSpec, topology: Topology) -> _Node:
    parameter = spec.key_name
    channel = {
        "address": f"{spec.subject}.{{{parameter}}}" if parameter else spec.subject,
        "title": spec.name,
        "summary": spec.summary,
        "messages": {spec.name: {"$ref": f"#/components/messages/{spec.subject}"}},
    }
    if parameter:
        channel["parameters"] = {
            parameter: {
                "description": "The key, with '%XX' for what a subject cannot carry.",
                "location": f"$message.payload#/{parameter}",
            }
        }
    return _without_empty(
        channel
        | {
            "x-stream": spec.stream,
            "x-filters": list(spec.filters),
            "x-decision": spec.decision,
            "x-race": spec.race or None,
            "x-owner": topology.owners.get(spec, ""),
        }
    )


def _message(spec: EventSpec, schema: str, topology: Topology) -> _Node:
    described = description_of(spec.type)
    return _without_empty(
        {
            "name": spec.name,
            "title": spec.name,
            "summary": spec.summary,
            "description": described if described != spec.summary else "",
            "contentType": JSON,
            "headers": None if spec in topology.from_outside else _headers(),
            "payload": {"$ref": f"#/components/schemas/{schema}"},
        }
    )


def _headers() -> _Node:
    return {
        "type": "object",
        "properties": {
            MESSAGE_ID: {
                "type": "string",
                "description": (
                    "<service>:<handler>:<stream>:<sequence of the input>-<its time of storing in "
                    "nanoseconds>:<subject>: what caused "
                    "the event; the server takes each only once."
                ),
            }
        },
    }


def _operations(topology: Topology) -> dict[str, _Node]:
    found: dict[str, _Node] = {}
    for service in topology.services:
        for handler in service.handlers:
            name = f"{service.name}.{handler.name}"
            found[f"{name}.receive.{handler.input.subject}"] = _receive(handler)
            for spec in handler.outputs:
                found[f"{name}.send.{spec.subject}"] = _send(handler, spec)
        for spec in service.published:
            found[f"{service.name}.send.{spec.subject}"] = _let_in(service, spec)
        for model in service.read_models:
            for spec in model.events:
                name = f"{service.name}.{model.type.__name__}.receive.{spec.subject}"
                found[name] = _fold(service, model, spec)
    return found


def _receive(handler: Handler) -> _Node:
    operation = _operation("receive", handler.input, handler.service, handler.function)
    return operation | {
        # Whoever shares the durable shares its messages, as members of a queue group do
        "bindings": {"nats": {"queue": handler.durable, "bindingVersion": "0.1.0"}},
        "x-handler": handler.name,
        "x-stream": handler.input.stream,
        "x-durable": handler.durable,
    }


def _send(handler: Handler, spec: EventSpec) -> _Node:
    operation = _operation("send", spec, handler.service, handler.function)
    return operation | _without_empty(
        {"x-handler": handler.name, "x-stream": spec.stream, "x-decision": spec.decision}
    )


def _let_in(service: Service, spec: EventSpec) -> _Node:
    operation = _operation("send", spec, service.name, spec.type)
    return operation | _without_empty({"x-stream": spec.stream, "x-decision": spec.decision})


def _fold(service: Service, model: ReadModel, spec: EventSpec) -> _Node:
    operation = _operation("receive", spec, service.name, model.type)
    return operation | {"x-read-model": model.type.__name__, "x-stream": spec.stream}


def _operation(action: str, spec: EventSpec, service: str, declared: object) -> _Node:
    described = description_of(declared)
    summary = described.partition("\n")[0]
    return _without_empty(
        {
            "action": action,
            "channel": {"$ref": f"#/channels/{spec.subject}"},
            "summary": summary,
            "description": described if described != summary else "",
            "tags": [{"name": service}],
            "messages": [{"$ref": f"#/channels/{spec.subject}/messages/{spec.name}"}],
            "x-service": service,
        }
    )


def _without_empty(node: _Node) -> _Node:
    return {name: value for name, value in node.items() if value not in ("", None)}
