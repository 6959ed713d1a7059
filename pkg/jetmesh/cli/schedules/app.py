"""`jetmesh schedule` and its help; the work is in the modules beside it."""

from __future__ import annotations

from typing import Annotated

import typer

from jetmesh.cli.options import AsJson, NatsUrl, System

schedules = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="See which events are to come later, and cancel one.",
)
Key = Annotated[str, typer.Argument(help="Of the event that is to come, such as p-1.")]
Event = Annotated[
    str, typer.Option("--event", metavar="SUBJECT", help="Of this event, payments.overdue.")
]
Name = Annotated[str, typer.Option("--name", help="Of this name, where there are several.")]


@schedules.command(name="ls")
def ls(
    service: Annotated[str, typer.Argument(help="Whose; without it those of all.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the next ones first.")] = 100,
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only those whose alarm was lost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List deadlines that wait, by when they are due.

    Example: jetmesh schedule ls fulfilment --limit 10
    """
    from jetmesh.cli.schedules import view  # noqa: PLC0415 - see the package

    view.ls(service, limit, system, nats_url, overdue=overdue, as_json=as_json)


@schedules.command(name="show")
def show(key: Key, system: System = "", nats_url: NatsUrl = "", *, as_json: AsJson = False) -> None:
    """Show what waits for a key, with the event that is to come, without what is sensitive.

    Example: jetmesh schedule show p-1
    """
    from jetmesh.cli.schedules import view  # noqa: PLC0415 - see the package

    view.show(key, system, nats_url, as_json=as_json)


@schedules.command(name="cancel")
def cancel(
    key: Key,
    event: Event = "",
    name: Name = "",
    why: Annotated[str, typer.Option(help="The reason, for the record of what was done.")] = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Without a question.")] = False,
) -> None:
    """End a deadline: its event will not come. It is recorded who did it (`jetmesh audit ls`).

    Example: jetmesh schedule cancel p-1 --event payments.overdue --why "paid by cheque"
    """
    from jetmesh.cli.schedules import act  # noqa: PLC0415 - see the package

    act.cancel(key, act.Options(event, name, why, yes), system, nats_url)


@schedules.command(name="mend")
def mend(system: System = "", nats_url: NatsUrl = "") -> None:
    """Ring for every deadline of a state that is overdue because its alarm was lost.

    Services do so themselves for each key that they hear of. It is recorded, as `cancel` is.

    Example: jetmesh schedule mend
    """
    from jetmesh.cli.schedules import act  # noqa: PLC0415 - see the package

    act.mend(system, nats_url)
