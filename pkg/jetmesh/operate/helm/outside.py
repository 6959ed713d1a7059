"""Which servers outside a service talks to: those that a sandbox stands in for on one machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from jetmesh.declare import Service
from jetmesh.declare.setting import Leaf, struct_names
from jetmesh.declare.system import Sandbox, System
from jetmesh.errors import UsageError

_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Address:
    """A server outside, as the settings of one service name it: by a url, or by host and port."""

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
        service.variable(name): (service, name)
        for service in services
        for name in struct_names(service.settings)
    }
    found: dict[str, list[Address]] = {}
    for sandbox in system.sandboxes:
        for name, text in sandbox.environment.items():
            if name not in known:
                raise UsageError(
                    f"The sandbox {sandbox.name} sets {name}, which no service has as a setting.",
                    remedy="Name a setting as JETMESH__SERVICES__<SERVICE>__SETTINGS__<NAME>.",
                )
            service, setting = known[name]
            if _is_address(text):
                found.setdefault(service.name, []).append(_address(sandbox, service, setting, text))
        for name, text in sandbox.environment.items():
            service, setting = known[name]
            for address in () if _is_address(text) else found.get(service.name, ()):
                if address.sandbox == sandbox.name:
                    address.instead[setting] = _typed(text, service, setting)
    return {name: list({a.required: a for a in each}.values()) for name, each in found.items()}


def _is_address(text: str) -> bool:
    """Else it is what differs while the sandbox stands in."""
    return "{" in text or _LOOPBACK in text


def _typed(text: str, service: Service, setting: str) -> Any:
    """What a variable of that text sets."""
    kind = service.settings and struct_names(service.settings)[setting]
    assert isinstance(kind, Leaf)  # noqa: S101 - a variable names a value
    return msgspec.convert(text, kind.type, strict=False)


def _address(sandbox: Sandbox, service: Service, setting: str, text: str) -> Address:
    """`smtp_port` belongs to `smtp_host`, whether or not the sandbox says where it is."""
    stem, host, port = setting[:-4], f"{setting[:-4]}host", f"{setting[:-4]}port"
    if setting in (host, port) and {host, port} <= struct_names(service.settings).keys():
        number = sandbox.ports.get(stem[:-1]) or next(iter(sandbox.ports.values()))
        instead = {host: sandbox.name, port: number}
        return Address(sandbox.name, host, port, instead)
    for purpose, number in sandbox.ports.items():
        text = text.replace(f"{{{purpose}}}", str(number))
    url = text.replace(_LOOPBACK, sandbox.name)
    return Address(sandbox.name, setting, "", {setting: url})
