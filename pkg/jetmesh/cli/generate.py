"""`jetmesh contracts`, `helm` and `manifests`: files that are written from the declarations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import typer

from jetmesh.operate import contracts as contract_files
from jetmesh.operate.helm import files as chart_files
from jetmesh.operate.helm import manifests as manifest_files
from jetmesh.operate.helm.program import helm_program
from jetmesh.operate.project import find_project


def contracts(reference: str, directory: Path | None, *, check: bool) -> int:
    """Write the contracts; with `check` 1 if any is stale."""
    project = find_project(reference)
    whole = project.load()
    target = directory or project.root / "contracts"
    if not check:
        return _wrote(contract_files.write(whole.system, whole.topology, target), target)
    stale = contract_files.stale(whole.system, whole.topology, target)
    advice = f"{len(stale)} contract files are stale. Run `jetmesh contracts` and commit them."
    return _compared(stale, "The contracts are", advice)


def helm(part: str, reference: str, chart: Path | None, *, check: bool) -> int:
    """Print one part, or write all of them; with `check` 1 if any is stale."""
    project = find_project(reference)
    whole = project.load()
    if part:
        typer.echo(chart_files.part(whole.system, whole.topology, part), nl=False)
        return 0
    target = chart or project.root / "deploy" / "k8s" / "chart"
    if not check:
        return _wrote(chart_files.write(whole.system, whole.topology, target), target)
    stale = chart_files.stale(whole.system, whole.topology, target)
    return _compared(stale, "The chart is", "The chart is stale. Run `jetmesh helm` and commit it.")


def manifests(reference: str, directory: Path | None, *, check: bool) -> int:
    """Render every overlay; with `check` 1 if what is there differs."""
    project = find_project(reference)
    target = directory or project.root / "deploy" / "k8s"
    program = helm_program(project.root)
    if not check:
        return _wrote(manifest_files.write(program, target), target)
    advice = "The manifests are stale. Run `make manifests` and commit it."
    return _compared(manifest_files.stale(program, target), "The manifests are", advice)


def _wrote(files: Sequence[Path], target: Path) -> int:
    typer.echo(f"Wrote {len(files)} files below {os.path.relpath(target)}.")
    return 0


def _compared(stale: Sequence[Path], what: str, advice: str) -> int:
    for path in stale:
        typer.echo(os.path.relpath(path))
    typer.echo(advice if stale else f"{what} up to date.", err=bool(stale))
    return 1 if stale else 0
