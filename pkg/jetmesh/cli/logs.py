"""`jetmesh logs`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from jetmesh.cli.options import AsJson, System


def logs(
    system: System = "",
    key: Annotated[str, typer.Option(help="Only lines about this key, such as p-1.")] = "",
    service: Annotated[
        list[str] | None, typer.Option(help="Only lines of this service; repeatable.")
    ] = None,
    namespace: Annotated[
        str, typer.Option(help="Of the pods. Default: that of kubectl's context.")
    ] = "",
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")
    ] = False,
    pods: Annotated[
        bool, typer.Option("--pods", help="Read the pods of a cluster through kubectl.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the log lines of every service in the order of time.

    They come from the files that `jetmesh up` writes into .jetmesh/logs, or with --pods from a
    cluster.

    Example: jetmesh logs --key p-1 --follow

    Example: jetmesh logs --pods --namespace shop --json | jq 'select(.level == "error")'
    """
    from jetmesh.cli import loglines as commands  # noqa: PLC0415 - see the package

    options = commands.Options(key, service or [], follow, pods, namespace, as_json)
    commands.logs(system, options)
