"""`jetmesh audit` and its help; the work is in the module beside it."""

from __future__ import annotations

from typing import Annotated

import typer

from jetmesh.cli.options import AsJson, NatsUrl, System

audit = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="See what operators did (replay, drop, heal, apply, cancel, mend, advance), and who.",
)


@audit.callback()
def options() -> None:
    """For what more commands there may be: `ls` is named all the same."""


@audit.command(name="ls")
def ls(
    since: Annotated[
        str, typer.Option(metavar="DURATION", help="Only what is not older, such as 7d.")
    ] = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    as_json: AsJson = False,
) -> None:
    """List what was done, in the order in which it was recorded.

    Each act stands there twice: before it was done, and how it ended.

    Example: jetmesh audit ls --since 7d

    Example: jetmesh audit ls --json | jq '.[] | select(.record.failed)'
    """
    from jetmesh.cli.audit import view  # noqa: PLC0415 - see the package

    view.ls(since, system, nats_url, as_json=as_json)
