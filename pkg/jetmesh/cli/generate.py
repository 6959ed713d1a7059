"""`jetmesh contracts`, `helm` and `manifests`: files that are written from the declarations."""

from __future__ import annotations

import os
from pathlib import Path

from jetmesh.cli.exits import answering
from jetmesh.cli.output import echo
from jetmesh.operate import contracts as contract_files
from jetmesh.operate.generated import Contents, stale, write
from jetmesh.operate.helm import files as chart_files
from jetmesh.operate.helm import manifests as manifest_files
from jetmesh.operate.helm.program import helm_program
from jetmesh.operate.project import find_project


def contracts(reference: str, directory: Path | None, *, check: bool) -> int:
    """Write the contracts; with `check` 1 if any is stale."""
    with answering(when=check):
        project = find_project(reference)
        whole = project.load()
        target = directory or project.root / "contracts"
        contents = contract_files.contents(whole.system, whole.topology, target)
        if not check:
            return _write(contents, target)
        advice = "{} contract files are stale. Run `jetmesh contracts` and commit them."
        return _compare(contents, "The contracts are", advice)


def helm(part: str, reference: str, chart: Path | None, *, check: bool) -> int:
    """Print one part, or write all of them; with `check` 1 if any is stale."""
    with answering(when=check):
        project = find_project(reference)
        whole = project.load()
        if part:
            echo(chart_files.part(whole.system, whole.topology, part), end="")
            return 0
        target = chart or project.root / "deploy" / "k8s" / "chart"
        contents = chart_files.contents(whole.system, whole.topology, target)
        if not check:
            return _write(contents, target)
        advice = "The chart is stale. Run `jetmesh helm` and commit it."
        return _compare(contents, "The chart is", advice)


def manifests(reference: str, directory: Path | None, *, check: bool) -> int:
    """Render every overlay; with `check` 1 if what is there differs."""
    with answering(when=check):
        project = find_project(reference)
        target = directory or project.root / "deploy" / "k8s"
        contents = manifest_files.contents(helm_program(project.root), target)
        if not check:
            return _write(contents, target)
        advice = "The manifests are stale. Run `make manifests` and commit it."
        return _compare(contents, "The manifests are", advice)


def _write(contents: Contents, target: Path) -> int:
    echo(f"Wrote {len(write(contents))} files below {os.path.relpath(target)}.")
    return 0


def _compare(contents: Contents, what: str, advice: str) -> int:
    differing = stale(contents)
    for path in differing:
        echo(os.path.relpath(path))
    text = advice.format(len(differing)) if differing else f"{what} up to date."
    echo(text, err=bool(differing))
    return 1 if differing else 0
