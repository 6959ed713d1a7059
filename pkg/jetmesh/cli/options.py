"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

System = Annotated[
    str,
    typer.Option(
        "--system",
        metavar="MODULE:NAME",
        help="The system to use instead of the one in pyproject.toml.",
    ),
]
NatsUrl = Annotated[
    str,
    typer.Option(
        "--nats-url",
        metavar="URL",
        help="The broker's URL. Default: that of the settings, or of a running `jetmesh up`.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
