"""Files that are written from the declarations, or compared with them: `jetmesh contracts`."""

from __future__ import annotations

import os
from pathlib import Path

from jetmesh.cli.exits import answering
from jetmesh.cli.output import echo
from jetmesh.operate import contracts as contract_files
from jetmesh.operate.catalog import place
from jetmesh.operate.generated import Contents, stale, write
from jetmesh.operate.project import find_project


def contracts(reference: str, directory: Path | None, site: Path | None, *, check: bool) -> int:
    """Write the contracts and their pages; with `check` 1 if any contract is stale."""
    with answering(when=check):
        project = find_project(reference)
        whole = project.load()
        target = directory or project.root / "contracts"
        contents = contract_files.contents(whole.system, whole.topology, target)
        if not check:
            pages = site or place.folder_in(project.state)
            catalog = place.contents(whole.system, whole.topology, project.root, pages)
            write_all(contents, target)
            place.keep(catalog, project.state)
            echo(f"The pages are in {os.path.relpath(pages / 'index.html')}.")
            return 0
        advice = "{} contract files are stale. Run `jetmesh contracts` and commit them."
        return compare(contents, "The contracts are", advice)


def write_all(contents: Contents, target: Path) -> int:
    """Write them and say how many; 0."""
    echo(f"Wrote {len(write(contents))} files below {os.path.relpath(target)}.")
    return 0


def compare(contents: Contents, what: str, advice: str) -> int:
    """Name those that differ; 1 if any does."""
    differing = stale(contents)
    for path in differing:
        echo(os.path.relpath(path))
    text = advice.format(len(differing)) if differing else f"{what} up to date."
    echo(text, err=bool(differing))
    return 1 if differing else 0
