"""The part of `jetmesh up` that needs the whole system in memory, in a process that ends.

The supervisor stays small: it never imports the services, it reads what this prints. First a line
once the broker's configuration is written; then, once it has started the broker with that and said
so, a line with what it needs to know; at last why the contracts' pages could not be written, if so.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from io import FileIO
from typing import Final

import msgspec
import structlog
from msgspec import Struct, field

from jetmesh.declare import Sandbox, Topology
from jetmesh.errors import JetmeshError
from jetmesh.operate.catalog import place
from jetmesh.operate.project import Project, Whole, find_project
from jetmesh.operate.undeclared import Declared
from jetmesh.operate.up.access import Access
from jetmesh.operate.up.configuration import write
from jetmesh.settings import NatsSettings

CONFIGURED: Final = b"configured\n"


class Described(Struct):
    """What the supervisor needs to know of a service."""

    module: str
    pages: bool
    port: int = 0
    """The port that the settings fix for it alone; 0: none."""
    health_port: int = 0
    """The same, where its health is asked for if it has pages."""


class Prepared(Struct):
    """What the supervisor needs to know of a system."""

    name: str
    grace: float
    """Seconds that a service has to end."""
    services: dict[str, Described]
    """By name, in the order of the system."""
    port: int
    """The first port to give out."""
    port_is_set: bool
    """Somebody chose it."""
    sandboxes: list[Sandbox]
    external_events: dict[str, str]
    """What comes from outside, as `external` has it."""
    declared: Declared
    environment: dict[str, str]
    """Variables for everyone, with `{name}` for the address of a service."""
    links: dict[str, str] = {}
    """By service: what follows its address on the screen."""
    users: dict[str, str] = field(default_factory=dict)
    """Identities by what the server calls them."""


def prepare(project: Project, access: Access) -> None:
    """Load the system, make the broker as declared, and print a `Prepared` as JSON.

    The pages are written meanwhile; why that cannot be is printed at last.

    Raises:
        JetmeshError: something is declared or set wrongly, or the broker differs for good.
    """
    whole = project.load()
    users = write(project.state, whole.topology, access)
    _print(CONFIGURED)
    why_pageless = _beside(lambda: _write_pages(project, whole))
    sys.stdin.readline()  # the broker runs
    asyncio.run(_provision(access.operator(project.state), whole.topology))
    _print(msgspec.json.encode(_described(whole, users)) + b"\n")
    _print(why_pageless())


def _print(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _beside(work: Callable[[], str]) -> Callable[[], bytes]:
    """Do some work in a process beside this one; what it returns, once that is asked for.

    Pages of a large system take a second, and the broker as long to be as declared.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        nothing = os.open(os.devnull, os.O_RDWR)
        for place in range(3):  # whoever reads what we say waits for nobody else
            os.dup2(nothing, place)
        try:
            said = work()
        except Exception as error:  # noqa: BLE001 - whatever it is, one sentence says it
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode(errors="replace"))
        os._exit(0)
    os.close(writing)

    def result() -> bytes:
        with FileIO(reading) as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        return said

    return result


def _write_pages(project: Project, whole: Whole) -> str:
    """Write the pages of the contracts; why there are none, else nothing."""
    try:
        folder = place.folder_in(project.state)
        found = place.contents(whole.system, whole.topology, project.root, folder)
        place.keep(found, project.state)
    except JetmeshError as error:
        return str(error)
    return ""


def _described(whole: Whole, users: dict[str, str]) -> Prepared:
    return Prepared(
        name=whole.system.name,
        grace=float(whole.loaded.settings.grace),
        services=_services(whole),
        port=whole.loaded.settings.http.port,
        port_is_set=whole.loaded.origins["http.port"] != "default",
        sandboxes=list(whole.system.sandboxes),
        external_events=external(whole.topology),
        declared=Declared.by(whole.topology),
        environment=dict(whole.system.environment),
        links=dict(whole.system.links),
        users=users,
    )


def external(topology: Topology) -> dict[str, str]:
    """Subjects of what comes from outside, and the field of its JSON that holds the key, if any."""
    return {spec.subject: spec.key_name for spec in topology.from_outside}


def _services(whole: Whole) -> dict[str, Described]:
    found: dict[str, Described] = {}
    for module, service in zip(whole.system.services, whole.services, strict=True):
        fixed = whole.loaded.origins[f"services.{service.name}.http.port"] != "default"
        port = whole.loaded.http(service.name).port if fixed else 0
        health = whole.loaded.http(service.name).health_port
        found[service.name] = Described(module, bool(service.pages), port, health)
    return found


async def _provision(settings: NatsSettings, topology: Topology) -> None:
    from jetmesh.operate.apply import carry_out, plan  # noqa: PLC0415 - after cheap refusals
    from jetmesh.transport.control import ControlPlane  # noqa: PLC0415 - the same

    control = await ControlPlane.connect(settings, name="jetmesh-up", patient=True)
    async with control:
        await control.check_server()
        # whatever `provision` says: this broker is the supervisor's own
        await carry_out(settings, control, topology, await plan(control, topology))


def main() -> None:
    """Prepare; one sentence on standard error and exit code 1 if it cannot be."""
    reference, access = sys.argv[1:]
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        prepare(find_project(reference), msgspec.json.decode(access, type=Access))
    except JetmeshError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
