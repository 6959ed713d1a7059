"""`jetmesh process` and its help; the work is in the modules beside it."""

from __future__ import annotations

from typing import Annotated

import typer

from jetmesh.cli.options import AsJson, NatsUrl, System

processes = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="See where processes stand, what they wait for, and move one by hand.",
)
Key = Annotated[str, typer.Argument(help="Whose, such as p-1.")]
Name = Annotated[
    str, typer.Option("--process", metavar="NAME", help="Of its state, such as fulfilment.orders.")
]


@processes.command(name="ls")
def ls(
    name: Annotated[str, typer.Argument(help="Of a state; without it all are listed.")] = "",
    step: Annotated[str, typer.Option(help="Only those in this step.")] = "",
    older: Annotated[
        str, typer.Option(metavar="DURATION", help="Only those there for longer, such as 1h.")
    ] = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only those that do not go on.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List processes with their steps, those that stand longest first.

    Example: jetmesh process ls --step awaiting_payment --older 1h
    """
    from jetmesh.cli.processes import view  # noqa: PLC0415 - see the package

    wanted = view.Wanted(name, step, older, overdue)
    view.ls(wanted, system, nats_url, as_json=as_json)


@processes.command(name="show")
def show(
    key: Key,
    name: Name = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Show the processes of a key: the step, what it waits for, and the steps that remain.

    Example: jetmesh process show p-1
    """
    from jetmesh.cli.processes import view  # noqa: PLC0415 - see the package

    view.show(key, name, system, nats_url, as_json=as_json)


@processes.command(name="advance")
def advance(
    key: Key,
    step: Annotated[str, typer.Argument(help="The step to move it to.")],
    name: Name = "",
    why: Annotated[str, typer.Option(help="The reason, for the record of acts.")] = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="Also where no handler would move it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Move it without a question.")] = False,
) -> None:
    """Move the process of a key to another step, which is recorded.

    No handler runs, so nothing is published and no deadline is set: it is for a process that would
    stand still. To have it go on as usual, publish the event that it waits for.

    Example: jetmesh process advance p-1 refunded --why "given back by hand"
    """
    from jetmesh.cli.processes import act  # noqa: PLC0415 - see the package

    options = act.Options(name, why, anywhere=anywhere, yes=yes)
    act.advance(key, step, options, system, nats_url)
