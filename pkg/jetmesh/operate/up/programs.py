"""Which programs a mesh consists of: their ports, their environment, how they find one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from jetmesh.declare import Sandbox
from jetmesh.errors import UsageError
from jetmesh.operate.project import Project
from jetmesh.operate.up.child import Program
from jetmesh.operate.up.ports import Ports
from jetmesh.operate.up.prepare import Prepared

_HOST: Final = "127.0.0.1"
_FIRST_PORT: Final = 8080


def programs(
    project: Project,
    prepared: Prepared,
    wanted: Sequence[Sandbox],
    ports: Ports,
    environ: Mapping[str, str],
) -> tuple[list[Program], list[Program]]:
    """Sandboxes and services. What the caller's environment sets wins over a sandbox's address.

    Raises:
        UsageError: a program's file is missing, or no port is free.
    """
    addresses: dict[str, str] = {}
    sandboxes: list[Program] = []
    for sandbox in wanted:
        chosen = {purpose: ports.take(port) for purpose, port in sandbox.ports.items()}
        addresses |= _filled(sandbox.environment, chosen)
        sandboxes.append(_sandbox(project, sandbox, chosen, environ))
    ordered = sorted(prepared.services, key=lambda name: not prepared.services[name])
    chosen = {name: ports.take(_FIRST_PORT) for name in ordered}
    urls = {name: f"http://{_HOST}:{port}" for name, port in chosen.items()}
    everyone = {**addresses, **_filled(prepared.environment, urls), **environ}
    services = [
        Program(
            name,
            _main(project, name),
            {**everyone, "JETMESH__HTTP__PORT": str(port)},
            urls[name],
            "/readyz",
        )
        for name, port in chosen.items()
    ]
    return sandboxes, services


def _filled(variables: Mapping[str, str], values: Mapping[str, object]) -> dict[str, str]:
    """`variables` with each `{name}` replaced by its value."""
    filled: dict[str, str] = {}
    for variable, text in variables.items():
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))  # noqa: PLW2901 - filled step by step
        filled[variable] = text
    return filled


def _sandbox(
    project: Project,
    sandbox: Sandbox,
    chosen: Mapping[str, int],
    environ: Mapping[str, str],
) -> Program:
    own = {f"JETMESH_SANDBOX_{purpose.upper()}_PORT": str(port) for purpose, port in chosen.items()}
    own["JETMESH_SANDBOX_DIR"] = str(project.state / sandbox.name)
    port = chosen.get("http", next(iter(chosen.values()), 0))
    url = f"http://{_HOST}:{port}"
    return Program(sandbox.name, _main(project, sandbox.name), {**environ, **own}, url, "/healthz")


def _main(project: Project, name: str) -> Path:
    main = project.main(name)
    if not main.is_file():
        raise UsageError(
            f"{name} cannot be started: there is no {main}.",
            remedy="Write it: three lines that import the service and run it.",
        )
    return main
