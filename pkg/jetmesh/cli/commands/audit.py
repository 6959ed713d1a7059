"""See what operators did (replay, drop, heal, apply, cancel, mend, advance), and who.

Example: jetmesh audit ls --since 7d
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from rich.text import Text

from jetmesh.cli.broker import load
from jetmesh.cli.connection import all_of, asked
from jetmesh.cli.console import show
from jetmesh.cli.options import AsJson, NatsUrl, System, duration
from jetmesh.operate.audit import Entry, described, entries
from jetmesh.privacy.mask import printable
from jetmesh.protocol.streams import AUDIT

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.command()
def ls(
    since: Annotated[
        str, typer.Option(metavar="DURATION", help="Only what is no older than this, such as 7d.")
    ] = "",
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    as_json: AsJson = False,
) -> None:
    """List what was done, in the order in which it was recorded.

    Each act is listed twice: when it began, and when it ended.

    Example: jetmesh audit ls --since 7d

    Example: jetmesh audit ls --json | jq '.[] | select(.record.failed)'
    """
    age = timedelta(seconds=duration("--since", since)) if since else None
    nats, _ = load(system, nats_url)
    found = asked(nats, lambda control: all_of(entries(control, age)))
    show(found, map(_line, found), as_json=as_json)


def _line(entry: Entry) -> Text:
    said = printable(f"{entry.by}  {described(entry)}")
    return Text(f"{AUDIT}:{entry.sequence}  {entry.at:%Y-%m-%d %H:%M:%S} UTC  {said}")
