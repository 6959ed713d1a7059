"""Which servers outside a service talks to: those that a sandbox stands in for on one machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import fields

from jetmesh.declare import Service
from jetmesh.declare.system import Sandbox, System
from jetmesh.errors import UsageError
from jetmesh.operate.helm.tree import camel
from jetmesh.settings import variable

_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Address:
    """A server outside, as the settings of one service name it: by a url, or by host and port."""

    service: str
    sandbox: str
    required: str
    """The setting that holds its url or host."""
    port: str
    """The setting that holds its port; empty when that is part of the url."""
    instead: dict[str, Any]
    """What these settings are while the sandbox stands in for it."""


def addresses(system: System, services: Iterable[Service]) -> dict[str, list[Address]]:
    """The addresses of every service that has any.

    Raises:
        UsageError: a sandbox sets a variable that is no setting of a service.
    """
    known = {
        variable(("services", service.name, "settings", f.encode_name)): (service, f.encode_name)
        for service in services
        if service.settings
        for f in fields(service.settings)
    }
    found: dict[str, list[Address]] = {}
    for sandbox in system.sandboxes:
        for name, text in sandbox.environment.items():
            if name not in known:
                raise UsageError(
                    f"The sandbox {sandbox.name} sets {name}, which is no setting of a service.",
                    remedy="Name a setting as JETMESH__SERVICES__<SERVICE>__SETTINGS__<NAME>.",
                )
            service, setting = known[name]
            found.setdefault(service.name, []).append(_address(sandbox, service, setting, text))
    return {name: list(_once(each)) for name, each in found.items()}


def _address(sandbox: Sandbox, service: Service, setting: str, text: str) -> Address:
    """`smtp_port` belongs to `smtp_host`, whether or not the sandbox says where it is."""
    stem, _, kind = setting.rpartition("_")
    if kind in ("host", "port"):
        host, port = camel(f"{stem}_host"), camel(f"{stem}_port")
        number = sandbox.ports.get(stem) or next(iter(sandbox.ports.values()))
        instead = {host: sandbox.name, port: number}
        return Address(service.name, sandbox.name, host, port, instead)
    for purpose, number in sandbox.ports.items():
        text = text.replace(f"{{{purpose}}}", str(number))
    url = text.replace(_LOOPBACK, sandbox.name)
    return Address(service.name, sandbox.name, camel(setting), "", {camel(setting): url})


def _once(found: Iterable[Address]) -> Iterator[Address]:
    yield from {address.required: address for address in found}.values()
