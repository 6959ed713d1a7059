"""What `jetmesh process ls` and `show` print."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.text import Text

from jetmesh.cli.connection import connected, load
from jetmesh.cli.console import print_json, print_lines
from jetmesh.declare import Duration, Topology
from jetmesh.errors import JetmeshError, SettingsError, UsageError
from jetmesh.operate.humanize import span
from jetmesh.operate.processes.flow import chosen
from jetmesh.operate.processes.standing import Standing, all_standing, standing_of
from jetmesh.privacy.mask import printable
from jetmesh.settings import NatsSettings


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which processes are meant."""

    name: str
    step: str
    older: str
    overdue: bool

    def takes(self, each: Standing, before: datetime | None) -> bool:
        """Whether it is one of them."""
        return (
            self.step in ("", each.step)
            and (before is None or each.since <= before)
            and (not self.overdue or bool(each.problem))
        )


def ls(wanted: Wanted, reference: str, nats_url: str, *, as_json: bool) -> None:
    """Print where processes stand.

    Raises:
        UsageError: there is no such process, step or duration.
        BrokerError: the broker does not answer.
    """
    age = _age(wanted.older)
    nats, topology = load(reference, nats_url)
    found = asyncio.run(_standing(nats, topology, wanted, age))
    found.sort(key=lambda each: each.since)
    if as_json:
        print_json(found)
    elif found:
        print_lines(map(_line, found))
    else:
        print_lines([Text("No process stands there.")])


def show(key: str, name: str, reference: str, nats_url: str, *, as_json: bool) -> None:
    """Print the processes of one key.

    Raises:
        UsageError: there is no such process.
        JetmeshError: nothing is known of the key.
        BrokerError: the broker does not answer.
    """
    nats, topology = load(reference, nats_url)
    found = asyncio.run(_of_key(nats, topology, name, key))
    if not found:
        raise JetmeshError(
            f"No process of {key!r} is known.", remedy="jetmesh process ls lists them."
        )
    print_json(found) if as_json else print_lines(line for each in found for line in _lines(each))


async def _standing(
    nats: NatsSettings, topology: Topology, wanted: Wanted, age: timedelta | None
) -> list[Standing]:
    flows = chosen(topology, wanted.name)
    steps = {step for flow in flows for step in flow.process.steps}
    before = datetime.now(UTC) - age if age is not None else None
    async with connected(nats) as control:
        found = [each for flow in flows async for each in all_standing(control, flow)]
    if wanted.step and wanted.step not in steps | {each.step for each in found}:
        raise UsageError(
            f"There is no step {wanted.step!r}.", remedy=f"There are {', '.join(sorted(steps))}."
        )
    return [each for each in found if wanted.takes(each, before)]


async def _of_key(nats: NatsSettings, topology: Topology, name: str, key: str) -> list[Standing]:
    flows = chosen(topology, name)
    async with connected(nats) as control:
        found = [await standing_of(control, flow, key) for flow in flows]
    return [each for each in found if each is not None]


def _age(text: str) -> timedelta | None:
    try:
        return timedelta(seconds=Duration.parse(text)) if text else None
    except SettingsError as error:
        raise UsageError(f"--older: {error.message}", remedy=error.remedy) from None


def _for(each: Standing) -> str:
    return span(max(0.0, (datetime.now(UTC) - each.since).total_seconds()))


def _line(each: Standing) -> Text:
    text = Text(printable(f"{each.process}  {each.key}  "))
    text.append(printable(each.step), "bold")
    text.append(f"  for {_for(each)}", "dim")
    if each.until:
        text.append(f"  until {each.until:%Y-%m-%d %H:%M:%S} UTC", "dim")
    if each.problem:
        text.append(printable(f"  {each.problem}"), "red")
    return text


def _lines(each: Standing) -> Iterator[Text]:
    yield Text.assemble((each.process, "bold"), f"  {printable(each.key)}  ", (each.place, "cyan"))
    yield Text(printable(f"  step       {each.step}, since {each.since:%Y-%m-%d %H:%M:%S} UTC"))
    if each.waits_for:
        until = f", until {each.until:%Y-%m-%d %H:%M:%S} UTC" if each.until else ""
        events = ", ".join(each.waits_for)
        yield Text(
            f"  an end     unless {events} comes" if each.ended else f"  waits for  {events}{until}"
        )
    if each.remaining:
        yield Text(f"  may come   {', '.join(each.remaining)}")
    for text in each.unexpected:
        yield Text(printable(f"  ignored    {text}"), "dim")
    if each.problem:
        yield Text(printable(f"  {each.problem}"), "red")
