"""The options of `jetmesh can-deploy`."""

from __future__ import annotations

from typing import Annotated

import typer

from jetmesh.cli.options import AsJson, NatsUrl, System


def can_deploy(
    system: System = "",
    nats_url: NatsUrl = "",
    accept: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="How many messages may become unreadable all the same."
        ),
    ] = 0,
    *,
    as_json: AsJson = False,
) -> None:
    """Decode what the broker holds with the code of this checkout: would anything be lost?

    Reads every stored message that a declared handler or read model will meet, what waits on
    lanes or is to come later, and open dead letters. It changes nothing. Exits with 0 when the code
    can be deployed, 1 when it cannot, 2 when that is not known.

    Example: jetmesh can-deploy --nats-url nats://broker:4222

    Example: jetmesh can-deploy --json | jq '.events[] | {subject, stored, decode}'
    """
    from jetmesh.cli.candeploy import view  # noqa: PLC0415 - see the package

    raise typer.Exit(view.can_deploy(system, nats_url, accept=accept, as_json=as_json))
