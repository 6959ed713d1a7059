"""Which programs a mesh consists of: their ports, their environment, how they find one another."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from jetmesh.declare import Sandbox
from jetmesh.declare.setting import variable
from jetmesh.errors import UsageError
from jetmesh.operate.catalog import place
from jetmesh.operate.project import Project
from jetmesh.operate.up.access import Access
from jetmesh.operate.up.child import Program
from jetmesh.operate.up.ports import Ports
from jetmesh.operate.up.prepare import Prepared
from jetmesh.operate.up.secrets import secrets_in
from jetmesh.settings.together import packed

_HOST: Final = "127.0.0.1"
_HEALTH_ABOVE: Final = 1000
"""So far above the first port services with pages answer operators."""
_LAST_FIRST: Final = 65000
TOGETHER: Final = "services"
"""What the one process of all services is called."""
_PAGES: Final = "contract-pages"
_PAGES_PORT: Final = 8070
"""The first to try, and out of the way of services, which begin at `http.port`."""
_placeholder = re.compile(r"\{((?:secret:)?\w[\w-]*)\}")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of the programs are wanted, and how many of each."""

    sandboxes: bool = True
    pages: bool = True
    """What shows the contracts."""
    only: tuple[str, ...] = ()
    """Services; empty: all of them."""
    replicas: Mapping[str, int] = field(default_factory=dict)
    """Processes of a service, where it is not one."""
    together: bool = False
    """All of them in one process, instead of one each."""

    def services(self, known: Iterable[str]) -> dict[str, int]:
        """Those of `known` that are wanted, and how many processes each gets.

        Raises:
            UsageError: there is no such service, or it is left out and multiplied.
        """
        known = list(known)
        for name in (*self.only, *self.replicas):
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                remedy = f"Did you mean {close[0]}?" if close else f"There are {', '.join(known)}."
                raise UsageError(f"There is no service {name!r}.", remedy=remedy)
            if self.only and name not in self.only:
                raise UsageError(
                    f"--replicas asks for {name}, which --only leaves out.",
                    remedy=f"Add --only {name}, or remove it from --replicas.",
                )
        return {n: self.replicas.get(n, 1) for n in known if not self.only or n in self.only}


@dataclass(frozen=True, slots=True)
class Programs:
    """What is to be started."""

    sandboxes: list[Program]
    """And what shows the contracts: all that is there for people, and needs no broker."""
    services: list[Program]
    variables: dict[str, str]
    """Addresses that all services are told, by environment variable."""


def programs(
    project: Project,
    prepared: Prepared,
    chosen: Chosen,
    ports: Ports,
    environ: Mapping[str, str],
    access: Access,
) -> Programs:
    """Sandboxes and services. What the caller's environment sets wins over a sandbox's address.

    Each service gets its own identity on the broker and no other; a sandbox gets none.

    Raises:
        UsageError: a sandbox's file is missing, a fixed port is taken, none is free, or what is
            `chosen` does not exist.
    """
    counts = chosen.services(prepared.services)
    fixed = _fixed(prepared, counts, ports)
    addresses: dict[str, str] = {}
    sandboxes: list[Program] = []
    for sandbox in prepared.sandboxes if chosen.sandboxes else ():
        own = {purpose: ports.take(port, sandbox.name) for purpose, port in sandbox.ports.items()}
        addresses |= _filled(sandbox.environment, own)
        sandboxes.append(_sandbox(project, sandbox, own, environ))
    if chosen.pages:
        sandboxes.append(_pages(project, ports, environ))
    listening = _listening(prepared, counts, fixed, ports)
    urls = {program.name: program.url for program in sandboxes if program.name == _PAGES}
    urls |= {name: f"http://{_HOST}:{taken[0]}" for name, taken in listening.items()}
    made = secrets_in(prepared.environment.values(), project.state)
    opened = {"open": "true"} if access.everybody else {}
    addresses |= _filled(prepared.environment, {**urls, **made, **opened})
    everyone = {**addresses, **environ}
    services = [
        _service(
            project,
            prepared,
            name,
            number,
            port,
            ports,
            {**everyone, **access.of(name, project.state)},
        )
        for name, taken in listening.items()
        for number, port in enumerate(taken, 1)
    ]
    if chosen.together and len(services) > 1:
        modules = [prepared.services[each.service].module for each in services]
        services = [_together(project, services, modules)]
    return Programs(sandboxes, services, addresses)


def _together(project: Project, services: Sequence[Program], modules: Sequence[str]) -> Program:
    return Program(
        name=TOGETHER,
        command=project.together(modules, TOGETHER),
        environ=packed({each.service: each.environ for each in services}),
        url=services[0].url,
        probe=services[0].probe,
        together=tuple(services),
    )


def _service(
    project: Project,
    prepared: Prepared,
    name: str,
    number: int,
    port: int,
    ports: Ports,
    environ: Mapping[str, str],
) -> Program:
    label = name if number == 1 else f"{name}#{number}"
    own = {"JETMESH__HTTP__PORT": str(port), _port_of(name): str(port)}
    health = ""
    if prepared.services[name].pages:
        other = _health_port(prepared, name, number, ports)
        own[variable(("services", name, "http", "health_port"))] = str(other)
        health = f"http://{_HOST}:{other}"
    return Program(
        name=label,
        command=project.command(name, prepared.services[name].module, label),
        environ={**environ, **own},
        url=f"http://{_HOST}:{port}",
        health=health,
        link=_filled({"link": prepared.links.get(name, "")}, environ).get("link", ""),
        probe="/readyz",
        service=name,
    )


def _health_port(prepared: Prepared, name: str, number: int, ports: Ports) -> int:
    fixed = prepared.services[name].health_port
    if fixed and number == 1:
        return ports.take_fixed(fixed, name, f"services.{name}.http.health_port")
    above = prepared.port + _HEALTH_ABOVE
    return ports.take(above if prepared.port and above < _LAST_FIRST else 0, name)


def _listening(
    prepared: Prepared, counts: Mapping[str, int], fixed: Mapping[str, int], ports: Ports
) -> dict[str, list[int]]:
    """The ports of each service's processes, those of services with pages first."""
    return {
        name: [
            fixed[name] if name in fixed and not number else ports.take(prepared.port, name)
            for number in range(counts[name])
        ]
        for name in _ordered(prepared, counts)
    }


def _fixed(prepared: Prepared, counts: Mapping[str, int], ports: Ports) -> dict[str, int]:
    """Ports that the settings name: a service's own, and `http.port` for the first without."""
    known = {name: prepared.services[name].port for name in _ordered(prepared, counts)}
    taken = {
        name: ports.take_fixed(port, name, f"services.{name}.http.port")
        for name, port in known.items()
        if port
    }
    first = next((name for name in known if name not in taken), "")
    if first and prepared.port and prepared.port_is_set:
        taken[first] = ports.take_fixed(prepared.port, first, "http.port")
    return taken


def _ordered(prepared: Prepared, counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda name: not prepared.services[name].pages)


def _port_of(service: str) -> str:
    return variable(("services", service, "http", "port"))


def _pages(project: Project, ports: Ports, environ: Mapping[str, str]) -> Program:
    port = ports.take(_PAGES_PORT, _PAGES)
    own = {place.FOLDER: str(place.folder_in(project.state)), place.PORT: str(port)}
    return Program(
        name=_PAGES,
        command=project.launch(_PAGES, str(place.PROGRAM)),
        environ={**environ, **own},
        url=f"http://{_HOST}:{port}",
        probe="/healthz",
        title="every event: its fields, who publishes it, who reads it",
    )


def _filled(variables: Mapping[str, str], values: Mapping[str, object]) -> dict[str, str]:
    """`variables` with each `{name}` replaced; without those that name what is not started."""
    filled: dict[str, str] = {}
    for name, text in variables.items():
        if all(each in values for each in _placeholder.findall(text)):
            filled[name] = _placeholder.sub(lambda found: str(values[found[1]]), text)
    return filled


def _sandbox(
    project: Project,
    sandbox: Sandbox,
    chosen: Mapping[str, int],
    environ: Mapping[str, str],
) -> Program:
    if not project.main(sandbox.name).is_file():
        raise UsageError(
            f"{sandbox.name} cannot be started: there is no {project.main(sandbox.name)}.",
            remedy="Write it: a program that stands for somebody else's server.",
        )
    own = {f"JETMESH_SANDBOX_{purpose.upper()}_PORT": str(port) for purpose, port in chosen.items()}
    own["JETMESH_SANDBOX_DIR"] = str(project.state / sandbox.name)
    port = chosen.get("http", next(iter(chosen.values()), 0))
    return Program(
        name=sandbox.name,
        command=project.command(sandbox.name),
        environ={**environ, **own},
        url=f"http://{_HOST}:{port}",
        probe="/healthz",
        title=sandbox.title,
    )
