"""Write, build and render what this project needs on Kubernetes.

[bold]init[/bold] writes an image and a helm chart into deploy/, from templates and the
declarations; [bold]image[/bold] builds the one, [bold]manifests[/bold] renders the other for
kubectl apply -k:

Example: jetmesh deploy init
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from jetmesh.cli.broker import load
from jetmesh.cli.connection import asked
from jetmesh.cli.console import console
from jetmesh.cli.exits import FAILED, answering
from jetmesh.cli.files import compare, write_all
from jetmesh.cli.options import NatsUrl, System
from jetmesh.cli.output import echo
from jetmesh.cli.tree import tree_of
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
from jetmesh.transport.control import ControlPlane

_STALE = "What is deployed is stale. Run `jetmesh deploy init` and commit it."
_STALE_MANIFESTS = "The manifests are stale. Run `jetmesh deploy manifests` and commit it."
_FLOATING = (
    "{base} has no digest: the next build may stand on another one. Pin it in pyproject.toml, "
    'as [tool.jetmesh.image] base = "{base}@sha256:…".'
)

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help=__doc__)

Directory = Annotated[
    Path | None, typer.Option(help="Where image/ and k8s/ are. Default: deploy/ of the project.")
]
Check = Annotated[
    bool, typer.Option("--check", help="Write nothing; exit with 1 if anything is stale.")
]


@app.command()
def init(
    system: System = "",
    directory: Directory = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite what was changed by hand, too.")
    ] = False,
    check: Check = False,
) -> int:
    """Write Dockerfile, chart and overlays of this project; again after declarations changed.

    What comes from the declarations is written anew. Templates that differ, because somebody
    changed them or jetmesh did, are named and nothing is written, unless --force says so.
    Chart.yaml, the text of its README and the overlays' values are yours once they are there.

    Example: jetmesh deploy init --check
    """
    with answering(when=check):
        project = find_project(system)
        whole = project.load()
        target = directory or project.root / "deploy"
        found = deployment(project, whole, target)
        if check:
            return compare(found.to_write(), "What is deployed is", _STALE)
        if not force:
            _refuse_changed(found)
        _say_what_lacks_examples(whole.topology)
        write_all(found.to_write(), target)
        return 0


@app.command(context_settings={"ignore_unknown_options": True})
def image(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME:TAG] [OPTION]...", help="The rest goes to the builder."),
    ] = None,
    system: System = "",
) -> int:
    """Build the image of every service with docker or podman, whichever works.

    BUILDER names another program, BASE another image to build on.

    Example: jetmesh deploy image registry.example/shop:1.0.0 --pull
    """
    project = find_project(system)
    declared = project.system()
    name, options = f"{name_of(declared)}:{declared.version}", arguments or []
    if options and not options[0].startswith("-"):
        name, *options = options
    build = build_command(project.root, name, options, os.environ)
    if base := floating_base(project.root, os.environ):
        echo(_FLOATING.format(base=base), err=True)
    return subprocess.run(build, cwd=project.root, check=False).returncode  # noqa: S603 - the person's own command


@app.command()
def manifests(system: System = "", directory: Directory = None, *, check: Check = False) -> int:
    """Render the chart into manifests for kubectl apply -k; needs the helm program.

    Every overlays/<name>/values.yaml becomes an overlay; what they have in common is the base.

    Example: jetmesh deploy manifests --check
    """
    with answering(when=check):
        project = find_project(system)
        target = directory or project.root / "deploy"
        declared = _declared(project, target)
        if check:
            both = {**declared, **_rendered(project, target)}
            return compare(both, "The manifests are", _STALE_MANIFESTS)
        write_all(declared, target)
        write_all(_rendered(project, target), target)
        return 0


@app.command("test")
def trial(
    system: System = "",
    nats_url: NatsUrl = "",
    seconds: Annotated[float, typer.Option(help="Seconds that all that follows may take.")] = 60.0,
) -> int:
    """Publish an example of each event from outside, and wait until all that follows is done.

    What is published is real: services treat it as any other event. `helm test` runs this.

    Example: jetmesh deploy test --seconds 10
    """
    nats, topology = load(system, nats_url)
    specs = from_outside(topology)
    if not specs:
        raise UsageError("No event comes from outside.", remedy="There is nothing to publish.")
    return asked(nats, lambda control: _trial(control, topology, specs, seconds))


async def _trial(
    control: ControlPlane, topology: Topology, specs: Sequence[EventSpec], seconds: float
) -> int:
    code = 0
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
