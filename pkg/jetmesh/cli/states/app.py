"""`jetmesh state` and its help; the work is in the module beside it."""

from __future__ import annotations

from typing import Annotated

import typer

from jetmesh.cli.options import AsJson, NatsUrl, System

states = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="See what handlers remember of each key.",
)
Name = Annotated[str, typer.Argument(help="Of a state, such as loyalty.accounts.")]
Key = Annotated[str, typer.Argument(help="Whose.")]


@states.command(name="ls")
def ls(
    name: Annotated[str, typer.Argument(help="Of a state; without it all are listed.")] = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    as_json: AsJson = False,
) -> None:
    """List the states with how many keys each has, or the keys of one.

    Example: jetmesh state ls loyalty.accounts
    """
    from jetmesh.cli.states import view  # noqa: PLC0415 - see the package

    view.ls(name, system, nats_url, as_json=as_json)


@states.command(name="get")
def get(
    name: Name, key: Key, system: System = "", nats_url: NatsUrl = "", *, as_json: AsJson = False
) -> None:
    """Show what is remembered of a key now, and which message changed it last.

    Example: jetmesh state get loyalty.accounts c-1
    """
    from jetmesh.cli.states import view  # noqa: PLC0415 - see the package

    view.get(name, key, system, nats_url, as_json=as_json)


@states.command(name="history")
def history(
    name: Name, key: Key, system: System = "", nats_url: NatsUrl = "", *, as_json: AsJson = False
) -> None:
    """Show the versions that are kept of a key, the oldest first.

    Example: jetmesh state history loyalty.accounts c-1 --json | jq '.[].state'
    """
    from jetmesh.cli.states import view  # noqa: PLC0415 - see the package

    view.history(name, key, system, nats_url, as_json=as_json)
