"""What `jetmesh schedule ls` and `show` print."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator

from msgspec import Struct
from rich.text import Text

from jetmesh.cli.connection import connected, load
from jetmesh.cli.console import print_json, print_lines
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.operate.deadlines.waiting import Found, Waiting, event_of, found
from jetmesh.operate.humanize import counted
from jetmesh.privacy.mask import printable


class _Shown(Struct, frozen=True):
    """One that waits, with its event."""

    waiting: Waiting
    event: str


def ls(
    service: str, limit: int, reference: str, nats_url: str, *, overdue: bool, as_json: bool
) -> None:
    """Print what waits, the next first.

    Raises:
        UsageError: there is no such service.
        BrokerError: the broker does not answer.
    """
    nats, topology = load(reference, nats_url)
    names = [each.name for each in topology.services]
    if service and service not in names:
        raise UsageError(
            f"There is no service {service!r}.", remedy=f"There are {', '.join(names)}."
        )

    async def all_of_them() -> list[Waiting]:
        async with connected(nats) as control:
            several = found(control, topology, service=service)
            return [each.waiting async for each in several if each.waiting.overdue or not overdue]

    waiting = asyncio.run(all_of_them())
    shown = heapq.nsmallest(limit, waiting, key=lambda each: each.due)
    if as_json:
        print_json(shown)
        return
    print_lines(map(line, shown))
    more = len(waiting) - len(shown)
    if more:
        print_lines([Text(f"and {counted(more, 'more deadline')}", "dim")])
    elif not waiting:
        print_lines([Text("No deadline waits.")])


def show(key: str, reference: str, nats_url: str, *, as_json: bool) -> None:
    """Print what waits for a key.

    Raises:
        JetmeshError: nothing does.
        BrokerError: the broker does not answer.
    """
    nats, topology = load(reference, nats_url)

    async def of_key() -> list[_Shown]:
        async with connected(nats) as control:
            several = [each async for each in found(control, topology, key=key)]
            ordered = sorted(several, key=lambda each: each.waiting.due)
            return [_Shown(f.waiting, await event_of(control, topology, f)) for f in ordered]

    shown = asyncio.run(of_key())
    if not shown:
        raise nothing(key)
    if as_json:
        print_json(shown)
    else:
        print_lines(text for each in shown for text in _described(each))


def nothing(key: str) -> JetmeshError:
    """What is said where nothing waits."""
    return JetmeshError(
        f"No deadline waits for {key!r}.", remedy="jetmesh schedule ls lists those that do."
    )


def line(each: Waiting) -> Text:
    """One in a line."""
    name = f" ({each.name})" if each.name else ""
    late = "  overdue, its alarm is lost" if each.overdue else ""
    return Text.assemble(
        (f"{each.due:%Y-%m-%d %H:%M:%S} UTC", "yellow" if each.overdue else ""),
        f"  {each.service}  {each.event} ",
        (printable(f"{each.key}{name}"), "bold"),
        (f"  for {each.cause}, kept in {each.kept}", "dim"),
        (late, "yellow"),
    )


def chosen(several: list[Found], key: str, event: str, name: str) -> Found:
    """The one that is meant.

    Raises:
        JetmeshError: there is none.
        UsageError: there are several.
    """
    left = [
        each
        for each in several
        if event in ("", each.waiting.event) and name in ("", each.waiting.name)
    ]
    if not left:
        raise nothing(key)
    if len(left) > 1:
        told = "; ".join(f"{w.event} {w.name}".strip() for w in (each.waiting for each in left))
        raise UsageError(
            f"Several deadlines wait for {key!r}: {told}.", remedy="Name one: --event, --name."
        )
    return left[0]


def _described(shown: _Shown) -> Iterator[Text]:
    yield line(shown.waiting)
    yield Text(f"  asked for by {shown.waiting.service}.{shown.waiting.handler}", "dim")
    if shown.event:
        yield Text(f"  {printable(shown.event)}")
