"""Who looks at a field of an event, as `reads=` declares it; whoever declares nothing reads all."""

from __future__ import annotations

import re

from jetmesh.declare import EventSpec, Topology
from jetmesh.errors import UsageError
from jetmesh.operate.evolution.descriptor import Descriptor, EnumShape, Node

_places = re.compile(r"\[[0-9]*\]|\{[a-z]*\}")


def readers_of(topology: Topology, spec: EventSpec, path: str) -> list[str]:
    """`service.handler`, or `service.ReadModel`, of everyone who looks at the field at `path`."""
    found = [(h.title, h.reads) for h in topology.handlers if h.input == spec]
    remembering = [h for h in topology.handlers if h.remembers and h.remembers.state == spec]
    found += [(h.title, ()) for h in remembering]
    for service in topology.services:
        models = [each for each in service.read_models if spec in each.events]
        found += [(f"{service.name}.{model.type.__name__}", model.reads) for model in models]
    return [name for name, reads in found if not reads or any(_touch(r, path) for r in reads)]


def _touch(one: str, other: str) -> bool:
    """Whether one path is the other one, or lies in it."""
    first, second = (_places.sub("", each).split(".") for each in (one, other))
    shorter = min(len(first), len(second))
    return not _places.sub("", other) or first[:shorter] == second[:shorter]


def check_reads(topology: Topology, spec: EventSpec, described: Descriptor) -> None:
    """Raises UsageError: somebody declares to read a field that no event of theirs has."""
    for handler in topology.handlers:
        if handler.input == spec:
            for path in handler.reads:
                if not _has(described, path):
                    raise UsageError(
                        f"{handler.where}: {handler.name} reads {path!r}, "
                        f"which {spec.name} does not have.",
                        remedy="Correct reads=(…), or leave it out.",
                    )


def _has(described: Descriptor, path: str) -> bool:
    nodes = [described.root]
    for name in path.split("."):
        nodes = [
            field.type
            for node in nodes
            for shape_name in _names(node)
            if not isinstance(shape := described.types[shape_name], EnumShape)
            for field in shape.fields
            if field.encode_name == name
        ]
    return bool(nodes)


def _names(node: Node) -> list[str]:
    found = [node.name] if node.name else []
    return found + [name for each in node.of for name in _names(each)]
