"""The values that a topology brings: one group per service, handler and stream."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from jetmesh.declare import Handler, Policy, Service
from jetmesh.declare.system import System
from jetmesh.declare.topology import StreamSpec, StreamTuning, Topology
from jetmesh.operate.helm.logins import password_values
from jetmesh.operate.helm.name import name_of
from jetmesh.operate.helm.outside import Address, addresses
from jetmesh.operate.helm.own import own_settings
from jetmesh.operate.helm.tree import (
    DURATION,
    POSITIVE_DURATION,
    Group,
    Node,
    Value,
    group_of,
)
from jetmesh.operate.helm.values import (
    Amounts,
    ChartValues,
    Limits,
    Resources,
    ServiceValues,
)

# Beside its code, a read model holds what it folded: it grows with history.
_WITH_READ_MODEL: Final = Resources(requests=Amounts(memory="128Mi"), limits=Limits(memory="512Mi"))
_MOST: Final = 10_000_000
_CLASS: Final = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"
_STREAM_LIMITS: Final[dict[str, dict[str, Any]]] = {
    "maxBytes": {"minimum": -1, "maximum": 2**50},
    "replicas": {"minimum": 0, "maximum": 5},
    "duplicateWindow": POSITIVE_DURATION,
}
_FORGETTING: Final = ("maxAge", "maxBytes")


def chart_values(system: System, topology: Topology) -> Group:
    """Everything that may be set when `system` is installed."""
    defaults = {"image": f"{name_of(system)}:{system.version}"}
    values = dict(group_of(ChartValues, defaults=defaults).values)
    _nested(values, "nats", "passwords").values["services"] = password_values(topology)
    outside = addresses(system, topology.services)
    values["services"] = Group(
        {s.name: _service(s, outside.get(s.name, [])) for s in topology.services},
        "Each service is scaled and tuned by itself.",
    )
    values["streams"] = Group(
        {stream.section: _stream(stream) for stream in topology.streams},
        "Changed values are changed on the server, unless that would lose events.",
    )
    return Group(values)


def _nested(values: dict[str, Node], *path: str) -> Group:
    for name in path:
        node = values[name]
        assert isinstance(node, Group)  # noqa: S101 - it is a Struct
        group, values = node, node.values
    return group


def _service(service: Service, outside: list[Address]) -> Group:
    defaults = {"resources": _WITH_READ_MODEL} if service.read_models else {}
    values = dict(group_of(ServiceValues, defaults=defaults).values)
    if not service.pages:
        del values["ingress"]
    if not outside:
        del values["egressTo"]
    values["autoscaling"] = _autoscaling(service, values["autoscaling"])
    values |= own_settings(service, outside)
    if service.handlers:
        values["handlers"] = Group({h.name: _handler(h) for h in service.handlers})
    return Group(values, service.description)


def _autoscaling(service: Service, node: Node) -> Group:
    """Where nobody waits for pages, the last pod may end, too, and one starts when work comes."""
    assert isinstance(node, Group)  # noqa: S101 - it is a Struct
    values = dict(node.values)
    if not service.handlers:
        del values["lag"]
    elif not service.pages:
        text = "0: none while nothing waits; KEDA only."
        values["minReplicas"] = Value(1, {"type": "integer", "minimum": 0, "maximum": 10_000}, text)
    return Group(values, node.text)


def _handler(handler: Handler) -> Group:
    group = group_of(
        Policy,
        defaults=msgspec.structs.asdict(handler.policy),
        text=f"Handles {handler.input.subject}.",
    )
    for (name,), value in group.leaves():
        if value.schema.get("type") == "integer":
            value.schema.update(minimum=1, maximum=_MOST)
        elif value.schema.get("pattern") == DURATION["pattern"] and name != "maxAge":
            value.schema["pattern"] = POSITIVE_DURATION["pattern"]
        elif name == "rejects":
            value.schema["items"]["pattern"] = _CLASS
    return group


def _stream(stream: StreamSpec) -> Group:
    text = "Slow retries and replayed dead letters: of the lane stream of each service"
    group = group_of(
        StreamTuning,
        defaults={"replicas": 0},
        texts={"replicas": "0: as many as NATS has nodes, three at most."},
        text=f"{text if stream.schedules else stream.description}.",
    )
    for (name,), value in group.leaves():
        value.schema.update(_STREAM_LIMITS.get(name, {}))
    if stream.schedules:  # what waits there for its next attempt must not be forgotten
        return Group({k: v for k, v in group.values.items() if k not in _FORGETTING}, group.text)
    return group
