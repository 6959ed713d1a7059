"""The project around the current directory: its root, its system, its settings and topology."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jetmesh.declare import Service, System, Topology, derive
from jetmesh.declare.importing import imported
from jetmesh.errors import UsageError
from jetmesh.settings import Loaded, load_settings

_PYPROJECT = "pyproject.toml"
LAUNCHER = (sys.executable, "-P", "-m", "jetmesh.runtime.program")
"""What runs a service; a label, the root and a target follow."""


@dataclass(frozen=True, slots=True)
class Project:
    """Where the system is declared, and the directory that its relative paths start from."""

    root: Path
    reference: str
    """`shop.system:system`."""

    @property
    def state(self) -> Path:
        """What a running mesh keeps on disk."""
        return self.root / ".jetmesh"

    @property
    def settings_file(self) -> Path | None:
        """The file of this project when no other is asked for."""
        file = self.root / "jetmesh.toml"
        return file if file.exists() and not os.environ.get("JETMESH_SETTINGS") else None

    def main(self, name: str) -> Path:
        """The program of a service or sandbox; a service may do without."""
        return self.root / "cmd" / name / "main.py"

    def command(self, name: str, module: str = "", label: str = "") -> list[str]:
        """What runs a service: its program where there is one, else the module that holds it."""
        main = self.main(name)
        return self.launch(label or name, str(main) if main.is_file() else module)

    def together(self, modules: Iterable[str], label: str) -> list[str]:
        """What runs the services of several modules in one process, whatever programs they have."""
        return self.launch(label, ",".join(modules))

    def launch(self, label: str, target: str) -> list[str]:
        """What runs a file, or modules that hold a service each."""
        return [*LAUNCHER, label, str(self.root), target]

    def find(self) -> None:
        """Let the modules of this project be imported: it need not be installed to be tried."""
        if str(self.root) not in sys.path:
            sys.path.append(str(self.root))

    def system(self) -> System:
        """Import the system.

        Raises:
            UsageError: the reference leads to no `System`.
        """
        module, _, attribute = self.reference.partition(":")
        self.find()
        try:
            found = getattr(imported(module), attribute or "system", None)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"The system {self.reference!r} cannot be imported: no module {error.name!r}.",
                remedy=f"Install the project, or correct [tool.jetmesh] system in {_PYPROJECT}.",
            ) from error
        if not isinstance(found, System):
            raise UsageError(
                f"{self.reference!r} is not a System.",
                remedy="Write module:name of a jetmesh.System.",
            )
        return found

    def load(self) -> Whole:
        """Import the services, read the settings, derive the topology.

        Raises:
            UsageError, DeclarationError: something cannot be imported.
            SettingsError: a setting is wrong.
            TopologyError: the declarations contradict one another.
        """
        system = self.system()
        services = system.load()
        loaded = load_settings(services, file=self.settings_file, whole=True)
        topology = derive(
            services, policies=loaded.policies(services), streams=loaded.stream_tunings()
        )
        return Whole(system, services, loaded, topology)


@dataclass(frozen=True, slots=True)
class Whole:
    """Everything that a project declares and sets."""

    system: System
    services: tuple[Service, ...]
    loaded: Loaded
    topology: Topology


def find_project(
    reference: str = "", *, start: Path | None = None, environ: Mapping[str, str] = os.environ
) -> Project:
    """The project of `reference`, else of JETMESH_SYSTEM, else of the nearest pyproject.toml.

    Raises:
        UsageError: nothing says which system is meant.
    """
    try:
        here = (start or Path.cwd()).resolve()
    except FileNotFoundError as error:
        raise UsageError(
            "The current directory is not there any more.", remedy="Change into another."
        ) from error
    reference = reference or environ.get("JETMESH_SYSTEM", "")
    for directory in (here, *here.parents):
        named = _system_of(directory / _PYPROJECT)
        if named:
            return Project(directory, reference or named)
    if reference:
        return Project(here, reference)
    raise UsageError(
        f"No system is declared here: neither {here} nor a directory above it has a "
        f"{_PYPROJECT} with [tool.jetmesh].",
        remedy='Add [tool.jetmesh] system = "package.module:system", set JETMESH_SYSTEM, '
        "or pass --system.",
    )


def _system_of(pyproject: Path) -> str:
    try:
        table: dict[str, Any] = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise UsageError(f"{pyproject} cannot be read: {error}.", remedy="Correct it.") from error
    return str(table.get("tool", {}).get("jetmesh", {}).get("system", ""))
