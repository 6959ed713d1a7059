"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

from jetmesh.declare import Duration
from jetmesh.errors import SettingsError, UsageError

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
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Why = Annotated[str, typer.Option("--why", help="The reason, which is recorded with it.")]


def duration(option: str, text: str) -> Duration:
    """What an option says, such as `2m`.

    Raises:
        UsageError: it is no duration.
    """
    try:
        return Duration.parse(text)
    except SettingsError as error:
        raise UsageError(f"{option}: {error.message}", remedy=error.remedy) from None
