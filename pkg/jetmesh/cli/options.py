"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

System = Annotated[
    str,
    typer.Option(
        "--system", metavar="MODULE:NAME", help="Which system, instead of pyproject.toml's."
    ),
]
NatsUrl = Annotated[
    str,
    typer.Option(
        "--nats-url",
        metavar="URL",
        help="Which broker; else the settings', else that of a running `jetmesh up`.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
