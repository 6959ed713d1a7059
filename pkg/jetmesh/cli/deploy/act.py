"""What the commands of `jetmesh deploy` do."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from jetmesh.cli.connection import connected, load
from jetmesh.cli.console import console
from jetmesh.cli.exits import FAILED, answering
from jetmesh.cli.generate import compare, write_all
from jetmesh.cli.output import echo
from jetmesh.cli.trace import tree_of
from jetmesh.declare import EventSpec, Topology
from jetmesh.errors import UsageError
from jetmesh.operate.deploy.files import Deployment, deployment
from jetmesh.operate.deploy.image import build_command, floating_base
from jetmesh.operate.deploy.trial import ended, failed, tried
from jetmesh.operate.example import example, from_outside
from jetmesh.operate.helm import manifests as manifest_files
from jetmesh.operate.helm.name import name_of
from jetmesh.operate.helm.program import helm_program
from jetmesh.operate.project import Project, find_project
from jetmesh.settings import NatsSettings

_STALE = "What is deployed is stale. Run `jetmesh deploy init` and commit it."
_STALE_MANIFESTS = "The manifests are stale. Run `jetmesh deploy manifests` and commit it."

_FLOATING = (
    "{base} has no digest: the next build may stand on another one. Pin it in pyproject.toml, "
    'as [tool.jetmesh.image] base = "{base}@sha256:…".'
)


def init(reference: str, directory: Path | None, *, force: bool, check: bool) -> int:
    """Write everything; with `check` 1 if any is stale.

    Raises:
        UsageError: templates were changed by hand, and `force` is not given.
    """
    with answering(when=check):
        project = find_project(reference)
        whole = project.load()
        target = directory or project.root / "deploy"
        found = deployment(project, whole, target)
        if check:
            return compare(found.to_write(), "What is deployed is", _STALE)
        if not force:
            _refuse_changed(found)
        _say_what_lacks_examples(whole.topology)
        return write_all(found.to_write(), target)


def image(arguments: Sequence[str], reference: str) -> int:
    """Build it; the builder's exit code."""
    project = find_project(reference)
    system = project.system()
    named = arguments[:1] if arguments and not arguments[0].startswith("-") else ()
    name = named[0] if named else f"{name_of(system)}:{system.version}"
    command = build_command(project.root, name, arguments[len(named) :], os.environ)
    if base := floating_base(project.root, os.environ):
        echo(_FLOATING.format(base=base), err=True)
    return subprocess.run(command, cwd=project.root, check=False).returncode  # noqa: S603 - the person's own command


def manifests(reference: str, directory: Path | None, *, check: bool) -> int:
    """Write the chart's values and render every overlay; with `check` 1 if any is stale."""
    with answering(when=check):
        project = find_project(reference)
        target = directory or project.root / "deploy"
        declared = _declared(project, target)
        if check:
            return compare(
                {**declared, **_rendered(project, target)}, "The manifests are", _STALE_MANIFESTS
            )
        write_all(declared, target)
        return write_all(_rendered(project, target), target)


def trial(reference: str, nats_url: str, seconds: float) -> int:
    """Try each event from outside; 1 when one is given up or takes too long."""
    settings, topology = load(reference, nats_url)
    specs = from_outside(topology)
    if not specs:
        raise UsageError("No event comes from outside.", remedy="There is nothing to publish.")
    return asyncio.run(_trial(settings, topology, specs, seconds))


async def _trial(
    settings: NatsSettings, topology: Topology, specs: Sequence[EventSpec], seconds: float
) -> int:
    code = 0
    async with connected(settings) as control:
        for spec in specs:
            key, steps = await tried(control, topology, spec, seconds=seconds)
            if not spec.key:
                echo(f"{spec.subject} is stored; without a key nobody can follow it.")
                continue
            console().print(tree_of(key, steps))
            if failed(steps) or not ended(steps):
                why = "was given up" if failed(steps) else f"has not ended in {seconds:g} s"
                echo(f"The example of {spec.subject} {why}.", err=True)
                code = FAILED
    return code


def _declared(project: Project, target: Path) -> dict[Path, str]:
    if not (target / "k8s" / "chart" / "Chart.yaml").is_file():
        raise UsageError(
            f"There is no chart below {os.path.relpath(target)}.",
            remedy="jetmesh deploy init writes it.",
        )
    return dict(deployment(project, project.load(), target).declared)


def _rendered(project: Project, target: Path) -> dict[Path, str]:
    return manifest_files.contents(helm_program(project.root), target / "k8s")


def _refuse_changed(found: Deployment) -> None:
    changed = found.changed()
    if changed:
        names = "".join(f"\n  {os.path.relpath(path)}" for path in changed)
        raise UsageError(
            f"These are not what would be written now; nothing was written:{names}",
            remedy="Run `jetmesh deploy init --force` to write over them, and look at git diff.",
        )


def _say_what_lacks_examples(topology: Topology) -> None:
    for spec in from_outside(topology):
        try:
            example(spec)
        except UsageError as error:
            echo(f"`helm test` will not publish {spec.subject}. {error}", err=True)
