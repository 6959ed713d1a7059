"""The part of `jetmesh up` that needs the whole system in memory, in a process that ends.

The supervisor stays small: it never imports the services, it reads what this prints.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec
from msgspec import Struct

from jetmesh.declare import Sandbox, Topology
from jetmesh.errors import JetmeshError
from jetmesh.operate.project import find_project
from jetmesh.settings import Settings


class Prepared(Struct):
    """What the supervisor needs to know of a system."""

    name: str
    grace: float
    """Seconds that a service has to end."""
    services: dict[str, bool]
    """By name, whether they have pages."""
    sandboxes: list[Sandbox]
    external_events: dict[str, str]
    """Subjects of what comes from outside, and the field that holds the key, if any."""
    environment: dict[str, str]
    """Variables for everyone, with `{name}` for the address of a service."""


def prepare(reference: str) -> Prepared:
    """Load the system, make the broker of its settings as declared, and describe it.

    Raises:
        JetmeshError: something is declared or set wrongly, or the broker differs for good.
    """
    whole = find_project(reference).load()
    asyncio.run(_provision(whole.loaded.settings, whole.topology))
    return Prepared(
        name=whole.system.name,
        grace=float(whole.loaded.settings.grace),
        services={service.name: bool(service.pages) for service in whole.services},
        sandboxes=list(whole.system.sandboxes),
        external_events={
            spec.subject: spec.key or ""
            for spec in whole.topology.events
            if spec not in whole.topology.owners
        },
        environment=dict(whole.system.environment),
    )


async def _provision(settings: Settings, topology: Topology) -> None:
    from jetmesh.transport.control import ControlPlane  # noqa: PLC0415 - after cheap refusals
    from jetmesh.transport.provision import apply, plan  # noqa: PLC0415 - the same

    control = await ControlPlane.connect(settings.nats, name="jetmesh-up", patient=True)
    async with control:
        await control.check_server()
        # whatever `provision` says: this broker is the supervisor's own
        await apply(control, await plan(control, topology))


def main() -> None:
    """Print a `Prepared` as JSON; one sentence on standard error and exit code 1 otherwise."""
    try:
        prepared = prepare(sys.argv[1])
    except JetmeshError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    sys.stdout.buffer.write(msgspec.json.encode(prepared))


if __name__ == "__main__":
    main()
