"""Files that are written from the declarations, or compared with them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from jetmesh.cli.output import echo
from jetmesh.operate.generated import Contents, stale, write


def write_all(contents: Contents, target: Path) -> None:
    """Write them, and say how many."""
    echo(f"Wrote {len(write(contents))} files below {os.path.relpath(target)}.")


def compare(contents: Contents, what: str, advice: str) -> int:
    """Name those that differ; 1 if any does."""
    differing = stale(contents)
    for path in differing:
        echo(os.path.relpath(path))
    text = advice.format(len(differing)) if differing else f"{what} up to date."
    echo(text, err=bool(differing))
    return 1 if differing else 0


def name_written(files: Iterable[Path]) -> None:
    """Say which files were written."""
    for file in files:
        echo(f"wrote {os.path.relpath(file)}{'/' if file.is_dir() else ''}")
