"""`jetmesh rehearse` and its help; the work is in `rehearsed`."""

from __future__ import annotations

from typing import Annotated

import typer

from jetmesh.cli.options import AsJson, NatsUrl, System


def rehearse(
    service: Annotated[str, typer.Argument(help="Whose handlers are to be rehearsed.")],
    last: Annotated[
        int, typer.Option(min=1, metavar="N", help="The newest N messages of each handler.")
    ] = 1000,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="A kind of difference that is meant; * stands for any."),
    ] = None,
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Run a service's handlers on stored messages, and compare with what came of them then.

    The code is this one, the messages are the broker's. The network is cut meanwhile: what has
    effects is replaced by the doubles that the service declares, and nothing is stored or acked.
    Exits with 0 when nothing differs but what is allowed, with 1 when something does, and with 2
    when it cannot be rehearsed.

    Example: jetmesh rehearse payments --last 10000

    Example: jetmesh rehearse order-validation --allow 'outcome:orders.rejected:over_ceiling'
    """
    from jetmesh.cli import rehearsed as commands  # noqa: PLC0415 - see the package

    code = commands.rehearse(service, last, allow or [], system, nats_url, as_json=as_json)
    raise typer.Exit(code)
