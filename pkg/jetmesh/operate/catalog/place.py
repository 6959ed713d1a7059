"""Where the pages of a project's contracts are, and how they get there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jetmesh.declare.system import System
from jetmesh.declare.topology import Topology
from jetmesh.errors import UsageError
from jetmesh.operate.catalog.pages import MARK, pages
from jetmesh.operate.evolution.released import Released
from jetmesh.operate.generated import Contents, read, write

FOLDER: Final = "JETMESH_CONTRACT_PAGES_FOLDER"
PORT: Final = "JETMESH_CONTRACT_PAGES_PORT"
"""The variables that tell the program what to show, and where."""
PROGRAM: Final = Path(__file__).parent / "program" / "main.py"
_MODE: Final = 0o700


def folder_in(state: Path) -> Path:
    """Where they are in what a project keeps on disk."""
    return state / "contracts"


def contents(system: System, topology: Topology, root: Path, folder: Path) -> Contents:
    """The pages below `folder`; those that an earlier one left behind are to go.

    Raises:
        UsageError: an example that a contract declares does not keep it, or what was released in
            the project at `root` was changed.
        MissingExtra: jinja2 is not installed.
    """
    found: dict[Path, str | None] = {
        folder / name: text for name, text in pages(system, topology, Released.of(root)).items()
    }
    return found | {path: None for path in _ours(folder) if path not in found}


def keep(found: Contents, state: Path) -> None:
    """Write pages; those in `state`, what a project keeps on disk, are for its owner alone.

    Raises:
        UsageError: they cannot be written.
    """
    if any(state in path.parents for path in found):
        try:
            state.mkdir(mode=_MODE, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{state} cannot be made: {error.strerror}.") from error
    write(found)


def _ours(folder: Path) -> Iterator[Path]:
    """Pages in the folder that were written from declarations, and not by anybody else."""
    for path in sorted(folder.glob("*.html")):
        if MARK in (read(path) or ""):
            yield path
