"""`jetmesh deploy` and its help; the work is in the module beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jetmesh.cli.options import NatsUrl, System

deploy = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Write, build and render what this project needs on Kubernetes.\n\n"
    "[bold]init[/bold] writes an image and a helm chart into deploy/, from templates and the "
    "declarations; [bold]image[/bold] builds the one, [bold]manifests[/bold] renders the other "
    "for kubectl apply -k:\n\n"
    "Example: jetmesh deploy init",
)

Directory = Annotated[
    Path | None, typer.Option(help="Where image/ and k8s/ are. Default: deploy/ of the project.")
]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; 1 if stale.")]


@deploy.command()
def init(
    system: System = "",
    directory: Directory = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Write over what was changed by hand, too.")
    ] = False,
    check: Check = False,
) -> None:
    """Write Dockerfile, chart and overlays of this project; again after declarations changed.

    What comes from the declarations is written anew. Templates that differ, because somebody
    changed them or jetmesh did, are named and nothing is written, unless --force says so.
    Chart.yaml, the text of its README and the overlays' values are yours once they are there.

    Example: jetmesh deploy init --check
    """
    from jetmesh.cli.deploy import act  # noqa: PLC0415 - see the package

    raise typer.Exit(act.init(system, directory, force=force, check=check))


@deploy.command(context_settings={"ignore_unknown_options": True})
def image(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME:TAG] [OPTION]...", help="The rest goes to the builder."),
    ] = None,
    system: System = "",
) -> None:
    """Build the image of every service with docker or podman, whichever works.

    BUILDER names another program, BASE another image to build on.

    Example: jetmesh deploy image registry.example/shop:1.0.0 --pull
    """
    from jetmesh.cli.deploy import act  # noqa: PLC0415 - see the package

    raise typer.Exit(act.image(arguments or [], system))


@deploy.command()
def manifests(system: System = "", directory: Directory = None, *, check: Check = False) -> None:
    """Render the chart into manifests for kubectl apply -k; needs the helm program.

    Every overlays/<name>/values.yaml becomes an overlay; what they have in common is the base.

    Example: jetmesh deploy manifests --check
    """
    from jetmesh.cli.deploy import act  # noqa: PLC0415 - see the package

    raise typer.Exit(act.manifests(system, directory, check=check))


@deploy.command("test")
def trial(
    system: System = "",
    nats_url: NatsUrl = "",
    seconds: Annotated[float, typer.Option(help="How long all that follows may take.")] = 60.0,
) -> None:
    """Publish an example of each event from outside, and wait until all that follows is done.

    What is published is real: services treat it as any other event. `helm test` runs this.

    Example: jetmesh deploy test --seconds 10
    """
    from jetmesh.cli.deploy import act  # noqa: PLC0415 - see the package

    raise typer.Exit(act.trial(system, nats_url, seconds))
