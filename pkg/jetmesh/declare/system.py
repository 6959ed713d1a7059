"""A system: the services that run together, in the one place where deployables are listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jetmesh.declare.importing import imported
from jetmesh.declare.line import calling_line
from jetmesh.declare.service import Service
from jetmesh.declare.several import several
from jetmesh.errors import DeclarationError


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A stand-in for somebody else's server, started by `jetmesh up` as cmd/<name>/main.py."""

    name: str
    """Of its folder in cmd, and in the chart of its Deployment and the host that services reach."""
    ports: Mapping[str, int]
    """Ports it listens on by purpose, each the one to try first; `{"http": 8090}`. It is told them
    as JETMESH_SANDBOX_<PURPOSE>_PORT, and answers /healthz at `http`, else at the first."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for everyone, with `{http}` for a port: how services find it. Each must be that of
    a service's setting; in the chart that setting is required once the sandbox is off. One without
    a port is what else differs while the sandbox stands in, such as that nothing is encrypted."""
    title: str = ""
    """What `jetmesh up` prints beside its address."""


@dataclass(frozen=True, slots=True)
class System:
    """Which modules hold the services (each as `service`), and what stands in for the world."""

    name: str
    """The title of the AsyncAPI index, and the image's name in the chart."""
    services: tuple[str, ...]
    """Modules, such as `shop.payments`; what is not listed is neither started, nor documented, nor
    deployed, and `jetmesh doctor` calls it a stranger."""
    sandboxes: tuple[Sandbox, ...] = ()
    """Started before the services, unless `jetmesh up` is told otherwise."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for everyone under `jetmesh up`, with `{name}` for the address of a service. In the
    chart such a setting holds the address of that service's Ingress, once it has one. A text
    `{secret:name}` is a secret that `up` makes and keeps; the chart takes it from a Secret. What
    is `{open}` is set to true by `up --open`, and not at all without. `{contract-pages}` is where
    `up` shows the contracts; in the chart such a setting is one like others."""
    links: Mapping[str, str] = field(default_factory=dict)
    """By service: what follows the address of its pages on the screen of `jetmesh up`, with
    `{VARIABLE}` for what one of the variables is, so that who clicks there is let in."""
    version: str = "1.0.0"
    """Of the contracts as a whole, as the AsyncAPI index says it, and the image's tag."""

    def __post_init__(self) -> None:
        """Raises DeclarationError: it names one where several are listed."""
        about = f"{calling_line(3)}: the system {self.name}"
        several(self.services, "services", about)
        several(self.sandboxes, "sandboxes", about)

    def load(self) -> tuple[Service, ...]:
        """Import every module and return its `service`.

        Raises:
            DeclarationError: a module is missing, or has no `service`.
        """
        return tuple(service_in(module) for module in self.services)


def service_in(module: str) -> Service:
    """Import `module` and return its `service`.

    Raises:
        DeclarationError: there is no such module, it cannot be imported, or no `service` is in it.
    """
    try:
        found = getattr(imported(module), "service", None)
    except ModuleNotFoundError as error:
        raise DeclarationError(
            f"{module!r} cannot be imported: there is no module {error.name!r}.",
            remedy="Correct the name where it is listed, or install the package.",
        ) from error
    if not isinstance(found, Service):
        raise DeclarationError(
            f"{module!r} has no `service`.",
            remedy='Add service = Service("…") to it.',
        )
    return found
