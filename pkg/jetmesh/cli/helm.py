"""`jetmesh helm` and `manifests`: what a deploy takes from the declarations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import typer

from jetmesh.operate.helm import files
from jetmesh.operate.helm import manifests as rendered
from jetmesh.operate.helm.program import helm_program
from jetmesh.operate.project import find_project


def helm(wanted: str, reference: str, chart: Path | None, *, check: bool) -> int:
    """Print one part, or write all of them; with `check` 1 if any is stale."""
    project = find_project(reference)
    whole = project.load()
    if wanted:
        typer.echo(files.part(whole.system, whole.topology, wanted), nl=False)
        return 0
    target = chart or project.root / "deploy" / "k8s" / "chart"
    if check:
        stale = files.stale(whole.system, whole.topology, target)
        return _report(stale, "The chart is", "jetmesh helm")
    written = files.write(whole.system, whole.topology, target)
    typer.echo(f"Wrote {len(written)} files below {os.path.relpath(target)}.")
    return 0


def manifests(reference: str, directory: Path | None, *, check: bool) -> int:
    """Render every overlay; with `check` 1 if what is there differs."""
    project = find_project(reference)
    target = directory or project.root / "deploy" / "k8s"
    program = helm_program(project.root)
    if check:
        return _report(rendered.stale(program, target), "The manifests are", "make manifests")
    written = rendered.write(program, target)
    typer.echo(f"Wrote {len(written)} files below {os.path.relpath(target)}.")
    return 0


def _report(stale: Sequence[Path], what: str, command: str) -> int:
    for path in stale:
        typer.echo(os.path.relpath(path))
    if stale:
        typer.echo(f"{what} stale. Run `{command}` and commit it.", err=True)
        return 1
    typer.echo(f"{what} up to date.")
    return 0
