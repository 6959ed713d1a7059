"""Operations: what a service sends and receives, and in which of its functions."""

from __future__ import annotations

from typing import Any

from jetmesh.declare.event import EventSpec
from jetmesh.declare.handler import Handler
from jetmesh.declare.service import Service
from jetmesh.declare.supplied import ReadModel
from jetmesh.operate.asyncapi.channels import without_empty
from jetmesh.operate.schemas import description_of

_Node = dict[str, Any]


def operations(service: Service) -> dict[str, _Node]:
    """Everything that a service sends and receives, by names unique in the system."""
    found: dict[str, _Node] = {}
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
    return dict(sorted(found.items()))


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
    return operation | without_empty(
        {"x-handler": handler.name, "x-stream": spec.stream, "x-decision": spec.decision}
    )


def _let_in(service: Service, spec: EventSpec) -> _Node:
    operation = _operation("send", spec, service.name, spec.type)
    return operation | without_empty({"x-stream": spec.stream, "x-decision": spec.decision})


def _fold(service: Service, model: ReadModel, spec: EventSpec) -> _Node:
    operation = _operation("receive", spec, service.name, model.type)
    return operation | {"x-read-model": model.type.__name__, "x-stream": spec.stream}


def _operation(action: str, spec: EventSpec, service: str, declared: object) -> _Node:
    described = description_of(declared)
    summary = described.partition("\n")[0]
    return without_empty(
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
