"""`jetmesh contracts` and its help; the work is in the modules beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jetmesh.cli.options import AsJson, NatsUrl, System

contracts = typer.Typer(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@contracts.callback()
def generated(
    context: typer.Context,
    system: System = "",
    directory: Annotated[
        Path | None,
        typer.Option(help="Where to write them. Default: contracts/ beside pyproject.toml."),
    ] = None,
    site: Annotated[
        Path | None, typer.Option(help="Where to write the pages. Default: .jetmesh/contracts.")
    ] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; 1 if stale.")] = False,
) -> None:
    """Write AsyncAPI documents, a JSON Schema per event, and who may do what on the broker.

    They are kept with the code. The pages are for people: each event with its fields, an example,
    who publishes it and who reads which field; plain HTML, which needs no server and no network.
    `check` compares the declared events with those that were released, `release` adds to these.

    Example: jetmesh contracts --check

    Example: jetmesh contracts --site public

    Example: jetmesh contracts check
    """
    if context.invoked_subcommand is not None:
        return
    from jetmesh.cli import generate  # noqa: PLC0415 - see the package

    raise typer.Exit(generate.contracts(system, directory, site, check=check))


@contracts.command(name="check")
def compare(
    against: Annotated[
        str,
        typer.Option(
            metavar="REV|DIR",
            help="A git revision, or a directory of releases. Default: contracts/released.",
        ),
    ] = "",
    system: System = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Say what the declared events do to whoever reads or wrote the released ones.

    Red is what cannot be read, yellow what means something else. Exits with 1 when anything is red.

    Example: jetmesh contracts check --against main
    """
    from jetmesh.cli.contracts import act  # noqa: PLC0415 - see the package

    raise typer.Exit(act.check(against, system, as_json=as_json))


@contracts.command()
def release(system: System = "") -> None:
    """Write what is declared to contracts/released: descriptor, schema and samples of each event.

    What is there is never changed: a compatible change becomes 1.1, the next version 2.

    Example: jetmesh contracts release
    """
    from jetmesh.cli.contracts import act  # noqa: PLC0415 - see the package

    act.release(system)


@contracts.command()
def drop(
    subject: Annotated[str, typer.Argument(help="Of the event, such as orders.validated.")],
    version: Annotated[int, typer.Argument(help="Which the code reads no more (oldest=…).")],
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    outside: Annotated[
        bool, typer.Option("--outside", help="Nobody outside publishes it any more; I know.")
    ] = False,
) -> None:
    """Forget a released version, once no stream holds it and nobody publishes it.

    The broker is asked for both: streams, lanes and dead letters are read, and processes of other
    code are looked for. What comes from outside nobody can prove, so you say it.

    Example: jetmesh contracts drop orders.validated 1
    """
    from jetmesh.cli.contracts import act  # noqa: PLC0415 - see the package

    raise typer.Exit(act.drop(subject, version, system, nats_url, outside=outside))
