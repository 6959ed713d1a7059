"""`jetmesh audit ls`."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from rich.text import Text

from jetmesh.cli.connection import connected, load
from jetmesh.cli.console import print_json, print_lines
from jetmesh.declare import Duration
from jetmesh.errors import SettingsError, UsageError
from jetmesh.operate.audit import Entry, described, entries
from jetmesh.privacy.mask import printable
from jetmesh.protocol.streams import AUDIT
from jetmesh.settings import NatsSettings


def ls(since: str, reference: str, nats_url: str, *, as_json: bool) -> None:
    """Print what was recorded; `since` is a duration, or empty for everything.

    Raises:
        UsageError: `since` is no duration.
        JetmeshError: there is no stream of records.
        BrokerError: the broker does not answer.
    """
    age = _age(since)
    nats, _ = load(reference, nats_url)
    found = asyncio.run(_entries(nats, age))
    if as_json:
        print_json(found)
    else:
        print_lines(map(_line, found))


def _age(text: str) -> timedelta | None:
    try:
        return timedelta(seconds=Duration.parse(text)) if text else None
    except SettingsError as error:
        raise UsageError(f"--since: {error.message}", remedy=error.remedy) from None


async def _entries(nats: NatsSettings, since: timedelta | None) -> list[Entry]:
    async with connected(nats) as control:
        return [each async for each in entries(control, since)]


def _line(entry: Entry) -> Text:
    said = printable(f"{entry.by}  {described(entry)}")
    return Text(f"{AUDIT}:{entry.sequence}  {entry.at:%Y-%m-%d %H:%M:%S} UTC  {said}")
