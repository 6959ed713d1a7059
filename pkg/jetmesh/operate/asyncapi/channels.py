"""Channels and messages: where an event is published, and what it says."""

from __future__ import annotations

import re
from typing import Any, Final

from jetmesh.declare.event import EventSpec
from jetmesh.declare.topology import Topology
from jetmesh.operate.schemas import description_of
from jetmesh.protocol.headers import EVENT_VERSION, MESSAGE_ID
from jetmesh.protocol.versions import said

JSON: Final = "application/json"

_Node = dict[str, Any]
_parameter = re.compile(r"[A-Za-z0-9_-]+")


def channel(spec: EventSpec, topology: Topology, messages: str = "") -> _Node:
    """The channel of an event; `messages` is the document that holds its message, else this one."""
    parameter = _parameter_of(spec)
    found = {
        "address": f"{spec.subject}.{{{parameter}}}" if parameter else spec.subject,
        "title": spec.name,
        "summary": spec.summary,
        "messages": {spec.name: {"$ref": f"{messages}#/components/messages/{spec.subject}"}},
    }
    if parameter:
        pointer = spec.key_name.replace("~", "~0").replace("/", "~1")
        found["parameters"] = {
            parameter: {
                "description": "The key, with '%XX' for what a subject cannot carry.",
                "location": f"$message.payload#/{pointer}",
            }
        }
    return without_empty(
        found
        | {
            "x-stream": spec.stream,
            "x-filters": list(spec.filters),
            "x-decision": spec.decision,
            "x-race": spec.race or None,
            "x-owner": topology.owners.get(spec, ""),
        }
    )


def message(spec: EventSpec, schema: str, topology: Topology) -> _Node:
    """The message of an event; `schema` is the name of its type among the schemas."""
    described = description_of(spec.type)
    return without_empty(
        {
            "name": spec.name,
            "title": spec.name,
            "summary": spec.summary,
            "description": described if described != spec.summary else "",
            "contentType": JSON,
            "headers": _headers(spec, from_outside=spec in topology.from_outside),
            "payload": {"$ref": f"#/components/schemas/{schema}"},
            "x-version": spec.version,
            "x-oldest": spec.oldest if spec.oldest < spec.version else None,
        }
    )


def without_empty(node: _Node) -> _Node:
    """`node` without what is not said."""
    return {name: value for name, value in node.items() if value not in ("", None)}


def _parameter_of(spec: EventSpec) -> str:
    """The key's name as an address may have it; on the wire it may be any text."""
    name = spec.key_name
    return name if not name or _parameter.fullmatch(name) else "key"


def _headers(spec: EventSpec, *, from_outside: bool) -> _Node | None:
    """The headers that a reader meets; whoever types an event by hand sets none."""
    found: _Node = {}
    if not from_outside:
        found[MESSAGE_ID] = {
            "type": "string",
            "description": (
                "<service>:<handler>:<stream>:<sequence of the input>-<its time of storing in "
                "nanoseconds>:<subject>: what caused "
                "the event; the server takes each only once."
            ),
        }
    if spec.version > 1:
        found[EVENT_VERSION] = {
            "type": "string",
            "description": (
                f"The version that the payload is of, here {said(spec.version)[EVENT_VERSION]}. "
                f"Messages without it are of version 1"
                + (", or from outside of any." if from_outside else ".")
            ),
        }
    return {"type": "object", "properties": found} if found else None
