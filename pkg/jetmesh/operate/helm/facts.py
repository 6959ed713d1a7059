"""What templates need to know and nobody may change: durables, streams, addresses, secrets."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

import msgspec

from jetmesh.declare import Policy, Service
from jetmesh.declare.derive import derive
from jetmesh.declare.setting import struct_names
from jetmesh.declare.system import System
from jetmesh.declare.topology import StreamTuning, Topology
from jetmesh.errors import UsageError
from jetmesh.operate.example import example, from_outside
from jetmesh.operate.helm.logins import identities
from jetmesh.operate.helm.outside import Address, addresses
from jetmesh.operate.helm.own import required_of, secrets_of
from jetmesh.operate.helm.tree import camel

_TUNING: Final = (*Policy.__struct_fields__, *StreamTuning.__struct_fields__)


def facts(system: System, topology: Topology) -> dict[str, Any]:
    """Plain data for the chart's files/topology.yaml."""
    outside = addresses(system, topology.services)
    return {
        "system": system.name,
        "services": {
            service.name: _service(system, service, outside.get(service.name, []))
            for service in topology.services
        },
        "sandboxes": {
            sandbox.name: {
                "title": sandbox.title,
                "ports": dict(sandbox.ports),
                "front": "http" if "http" in sandbox.ports else next(iter(sandbox.ports)),
                "serves": sorted(
                    name
                    for name, found in outside.items()
                    for address in found
                    if address.sandbox == sandbox.name
                ),
            }
            for sandbox in system.sandboxes
        },
        "examples": _examples(topology),
        "identities": identities(topology),
        "streams": sections(topology),
        "names": {camel(name): name for name in _TUNING},
    }


def sections(topology: Topology) -> list[str]:
    """The names under which settings tune its streams."""
    return [*dict.fromkeys(stream.section for stream in topology.streams)]


def _examples(topology: Topology) -> list[dict[str, str]]:
    """Of each event from outside what `helm test` and a person may publish, where it has one."""
    found = []
    for spec in from_outside(topology):
        with suppress(UsageError):
            event = msgspec.json.encode(example(spec)).decode()
            found.append({"subject": spec.subject, "event": event})
    return found


def _service(system: System, service: Service, outside: list[Address]) -> dict[str, Any]:
    alone = derive([service], audited=False)
    secrets = secrets_of(service)
    required = required_of(service, outside)
    return {
        "version": service.version,
        "pages": bool(service.pages),
        "streams": sections(alone),
        "durables": [{"stream": d.stream, "name": d.name} for d in alone.durables],
        # by paths: no name has a dot in it
        "secrets": {".".join(path): service.variable(*path) for path in secrets},
        "required": {
            ".".join(("secrets" if path in secrets else "settings", *path)): service.variable(*path)
            for path in required
        },
        "outside": [
            {**asdict(address), "variable": service.variable(address.required)}
            for address in outside
        ],
        "links": _links(system, service),
    }


def _links(system: System, service: Service) -> dict[str, str]:
    """Settings that hold the address of another service's pages."""
    return {
        name: text.strip("{}")
        for name in struct_names(service.settings)
        if (text := system.environment.get(service.variable(name), "{secret:}"))
        and not text.startswith(("{secret:", "{open}", "{contract-pages}"))
    }
