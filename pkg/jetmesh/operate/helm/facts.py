"""What templates need to know and nobody may change: durables, streams, addresses, secrets."""

from __future__ import annotations

from typing import Any

from jetmesh.declare import Service
from jetmesh.declare.derive import derive
from jetmesh.declare.system import System
from jetmesh.declare.topology import Topology
from jetmesh.operate.helm.declared import secrets_of
from jetmesh.operate.helm.outside import Address, addresses
from jetmesh.operate.helm.tree import camel
from jetmesh.settings import variable


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
                "serves": sorted(
                    address.service
                    for found in outside.values()
                    for address in found
                    if address.sandbox == sandbox.name
                ),
            }
            for sandbox in system.sandboxes
        },
        "streams": [stream.name for stream in topology.streams],
    }


def _service(system: System, service: Service, outside: list[Address]) -> dict[str, Any]:
    alone = derive([service])
    return {
        "version": service.version,
        "pages": bool(service.pages),
        "streams": [stream.name for stream in alone.streams],
        "durables": [{"stream": d.stream, "name": d.name} for d in alone.durables],
        "secrets": {
            camel(name): variable(("services", service.name, "settings", name))
            for name in secrets_of(service)
        },
        "outside": [
            {
                "sandbox": address.sandbox,
                "required": address.required,
                "variable": _variable(service, address.required),
                "port": address.port,
                "instead": address.instead,
            }
            for address in outside
        ],
        "links": _links(system, service),
    }


def _links(system: System, service: Service) -> dict[str, str]:
    """Settings that hold the address of another service's pages."""
    fields = service.settings.__struct_encode_fields__ if service.settings else ()
    return {
        camel(name): text.strip("{}")
        for name in fields
        if (text := system.environment.get(variable(("services", service.name, "settings", name))))
    }


def _variable(service: Service, name: str) -> str:
    fields = service.settings.__struct_encode_fields__ if service.settings else ()
    snake = next(field for field in fields if camel(field) == name)
    return variable(("services", service.name, "settings", snake))
