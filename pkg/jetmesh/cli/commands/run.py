"""Run one service in this terminal until Ctrl-C, or several in one process.

It uses the broker of `jetmesh up` where that runs and no other is set.
cmd/SERVICE/main.py is run where there is one; a service needs none. Several run without it, and
share one event loop: for development and small machines.

Example: jetmesh run pricing

Example: jetmesh run garage.pricing

Example: jetmesh run pricing billing
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from jetmesh.cli.broker import mesh_of
from jetmesh.cli.options import System
from jetmesh.cli.output import echo
from jetmesh.declare import Service
from jetmesh.declare.setting import variable
from jetmesh.declare.system import service_in
from jetmesh.errors import UsageError
from jetmesh.operate.project import Project, find_project
from jetmesh.operate.up import upfile
from jetmesh.operate.up.access import chosen_by, seed_of
from jetmesh.operate.up.ports import Ports
from jetmesh.settings import Loaded, load_settings
from jetmesh.settings.together import packed


def run(
    services: Annotated[
        list[str],
        typer.Argument(
            metavar="SERVICE...",
            help="A service's name, or the module that holds it (garage.pricing).",
        ),
    ],
    system: System = "",
) -> NoReturn:
    project = _project(system)
    found = {service.name: (module, service) for module, service in _all(project, services)}
    ports = Ports()
    environs = {
        name: {**_local(project, service, ports), **os.environ}
        for name, (_, service) in found.items()
    }
    os.chdir(project.root)
    if len(found) == 1:
        ((name, (module, _)),) = found.items()
        environ, command = environs[name], project.command(name, module)
    else:
        environ = packed(environs)
        modules = [module for module, _ in found.values()]
        command = project.together(modules, "services")
    os.execve(command[0], command, environ)  # noqa: S606 - its whole purpose, with an argument list


def _project(reference: str) -> Project:
    """The project around us; a module can be run without one."""
    try:
        return find_project(reference)
    except UsageError:
        return Project(Path.cwd(), "")


def _all(project: Project, targets: Sequence[str]) -> Iterator[tuple[str, Service]]:
    seen: set[str] = set()
    for target in targets:
        module, service = _found(project, target)
        if service.name in seen:
            raise UsageError(
                f"{service.name} is named twice.",
                remedy="Name it once; `jetmesh up --replicas` runs several processes of one.",
            )
        seen.add(service.name)
        yield module, service


def _found(project: Project, target: str) -> tuple[str, Service]:
    """The module and the service that are meant: a module by its name, or a service by its own."""
    project.find()
    listed = project.system().services if project.reference else ()
    if "." in target or target in listed:
        return target, service_in(target)
    known = {(service := service_in(module)).name: (module, service) for module in listed}
    if target not in known:
        there = f"There are {', '.join(known)}." if known else "No system is declared here."
        raise UsageError(
            f"There is no service {target!r}.", remedy=f"{there} Or name a module: garage.pricing."
        )
    return known[target]


def _local(project: Project, service: Service, ports: Ports) -> dict[str, str]:
    """What a mesh that runs here decides, and a port of its own where nobody chose one."""
    loaded = load_settings([service], file=project.settings_file)
    chosen = _of_mesh(project, service, loaded)
    port_of = ("services", service.name, "http", "port")
    if loaded.origins[".".join(port_of)] == loaded.origins["http.port"] == "default":
        chosen[variable(port_of)] = str(ports.take(loaded.http(service.name).port, service.name))
        for sentence in ports.passed_over:
            echo(sentence, err=True)
    return chosen


def _of_mesh(project: Project, service: Service, loaded: Loaded) -> dict[str, str]:
    """Variables of the mesh that runs here: its sandboxes, and its broker where none is set.

    Raises:
        UsageError: its broker does not know this service.
    """
    up = upfile.running(project.state)
    if up is None:
        return {}
    common = up.access.common()
    if mesh_of(project, loaded) is None:
        return {name: value for name, value in up.variables.items() if name not in common}
    own = {} if chosen_by(os.environ) else up.access.of(service.name, project.state)
    if own and not (up.everybody or seed_of(project.state, service.name).exists()):
        raise UsageError(
            f"The broker of the mesh that runs here has no identity for {service.name}.",
            remedy="List the service in the system and start `jetmesh up` anew, "
            "or start that with --open.",
        )
    return {**up.variables, **own}
