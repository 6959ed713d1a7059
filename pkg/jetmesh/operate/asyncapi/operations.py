"""Operations: what a service sends and receives, and in which of its functions."""

from __future__ import annotations

from typing import Any

from jetmesh.declare.event import EventSpec
from jetmesh.declare.service import Service
from jetmesh.operate.asyncapi.channels import without_empty
from jetmesh.operate.schemas import description_of

_Node = dict[str, Any]


def operations(service: Service) -> dict[str, _Node]:
    """Everything that a service sends and receives, by names unique in the system."""
    found: dict[str, _Node] = {}

    def add(who: str, action: str, spec: EventSpec, declared: object, more: _Node) -> None:
        operation = _operation(action, spec, service.name, declared)
        found[f"{who}.{action}.{spec.subject}"] = operation | without_empty(more)

    for handler in service.handlers:
        taken = {
            # whoever shares the durable shares its messages, as members of a queue group do
            "bindings": {"nats": {"queue": handler.durable, "bindingVersion": "0.1.0"}},
            "x-handler": handler.name,
            "x-stream": handler.input.stream,
            "x-durable": handler.durable,
        }
        add(handler.title, "receive", handler.input, handler.function, taken)
        for spec in handler.outputs:
            made = {"x-handler": handler.name, "x-stream": spec.stream, "x-decision": spec.decision}
            add(handler.title, "send", spec, handler.function, made)
    for spec in service.published:
        let_in = {"x-stream": spec.stream, "x-decision": spec.decision}
        add(service.name, "send", spec, spec.type, let_in)
    for model in service.read_models:
        name = model.type.__name__
        for spec in model.events:
            folded = {"x-read-model": name, "x-stream": spec.stream}
            add(f"{service.name}.{name}", "receive", spec, model.type, folded)
    return dict(sorted(found.items()))


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
