"""Show the story of a key, read from the streams: what caused what, when, what it waits for.

Example: jetmesh trace p-1
"""

from __future__ import annotations

from typing import Annotated

import typer

from jetmesh.cli.broker import load
from jetmesh.cli.connection import asked
from jetmesh.cli.console import console, print_json
from jetmesh.cli.options import AsJson, NatsUrl, System
from jetmesh.cli.tree import tree_of
from jetmesh.errors import JetmeshError
from jetmesh.operate.trace import trace as steps_of


def trace(
    key: Annotated[str, typer.Argument(help="The key that the events are about, such as p-1.")],
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    as_json: AsJson = False,
) -> None:
    nats, topology = load(system, nats_url)
    steps = asked(nats, lambda control: steps_of(control, topology, key))
    if not steps:
        raise JetmeshError(
            f"Nothing is stored under the key {key!r}.",
            remedy="Check its spelling; an event published by hand is found once a service has "
            "handled it.",
        )
    if as_json:
        print_json(steps)
    else:
        console().print(tree_of(key, steps))
