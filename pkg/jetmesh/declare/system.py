"""A system: the services that run together, in the one place where deployables are listed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from jetmesh.declare.service import Service
from jetmesh.errors import DeclarationError


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A stand-in for somebody else's server, started by `jetmesh up` as cmd/<name>/main.py."""

    name: str
    ports: Mapping[str, int]
    """Ports it listens on by purpose, each the one to try first; `{"http": 8090}`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for everyone, with `{http}` for a port: how services find it."""
    title: str = ""


@dataclass(frozen=True, slots=True)
class System:
    """Which modules hold the services (each as `service`), and what stands in for the world."""

    name: str
    services: tuple[str, ...]
    sandboxes: tuple[Sandbox, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for everyone under `jetmesh up`, with `{name}` for the address of a service."""
    version: str = "1.0.0"
    """Of the contracts as a whole, as the AsyncAPI document says it."""

    def load(self) -> tuple[Service, ...]:
        """Import every module and return its `service`.

        Raises:
            DeclarationError: a module is missing, or has no `service`.
        """
        return tuple(_service(module) for module in self.services)


def _service(module: str) -> Service:
    try:
        found = getattr(importlib.import_module(module), "service", None)
    except ModuleNotFoundError as error:
        raise DeclarationError(
            f"The system lists {module!r}, but {error.name!r} cannot be imported.",
            remedy="Correct the list, or install the package.",
        ) from error
    if not isinstance(found, Service):
        raise DeclarationError(
            f"The system lists {module!r}, which has no `service`.",
            remedy='Add service = Service("…") to it.',
        )
    return found
