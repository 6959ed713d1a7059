"""Delete everything that this project's mesh has stored.

Example: jetmesh down && jetmesh clean
"""

from __future__ import annotations

import shutil
from pathlib import Path

from jetmesh.cli.options import System
from jetmesh.cli.output import echo
from jetmesh.errors import UsageError
from jetmesh.operate.project import find_project
from jetmesh.operate.up import upfile


def clean(system: System = "") -> None:
    state = find_project(system).state
    _stay_inside(state)
    if not state.exists():
        echo("There is nothing to delete.")
        return
    with upfile.locked(state):
        upfile.end_orphans(state)
        for entry in state.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
    shutil.rmtree(state)
    echo(f"Deleted what was stored in {state}.")


def _stay_inside(state: Path) -> None:
    """Follow no link: what it leads to is not ours to delete.

    Raises:
        UsageError: there is one.
    """
    entries = sorted(state.iterdir()) if state.is_dir() and not state.is_symlink() else []
    for link in filter(Path.is_symlink, (state, *entries)):
        raise UsageError(
            f"{link} is a symbolic link to {link.readlink()}: nothing is deleted through it.",
            remedy="Remove the link, and by hand what it leads to.",
        )
