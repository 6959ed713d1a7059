"""`jetmesh plan --expect`: where the mesh and its servers end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from rich.text import Text

from jetmesh.cli.connection import broker_of, connected
from jetmesh.cli.console import print_json, print_lines
from jetmesh.cli.exits import answering
from jetmesh.cli.output import complain
from jetmesh.declare import Duration, Topology
from jetmesh.errors import BrokerError, SettingsError, UsageError
from jetmesh.operate.ceilings import quantity
from jetmesh.operate.ceilings.ceiling import Ceiling
from jetmesh.operate.ceilings.checks import ceilings
from jetmesh.operate.ceilings.expect import expected, load_of
from jetmesh.operate.ceilings.load import Load, Place
from jetmesh.operate.ceilings.seen import Seen, as_there, on_top_of, seen, spread
from jetmesh.operate.ceilings.sizes import place_of_chart, tuned
from jetmesh.operate.humanize import counted
from jetmesh.operate.project import find_project
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane

_MARKS: Final = {"passed": ("!", "red"), "near": ("~", "yellow"), "far": (" ", "")}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says."""

    expect: Sequence[str]
    pods: Sequence[str]
    servers: str
    values: Sequence[Path]
    within: str
    as_json: bool

    @property
    def is_asked(self) -> bool:
        """Whether it is about ceilings at all."""
        return bool(self.expect or self.pods or self.servers or self.values or self.as_json)


def plan(reference: str, nats_url: str, asked: Asked) -> int:
    """Print every ceiling; 1 if one is passed.

    Raises:
        UsageError: something is not declared, or no quantity; or the project cannot be loaded.
    """
    with answering():
        project = find_project(reference)
        whole = project.load()
        said = expected(whole.topology, asked.expect, asked.pods)
        servers = quantity.count(asked.servers, "--servers") if asked.servers else 0
        within, given = _within(asked.within), place_of_chart(project.root, asked.values)
        topology = tuned(whole.topology, asked.values)
        there = _seen(broker_of(project, whole.loaded, nats_url), topology)
    load = load_of(topology, said)
    wanted = servers or given.servers
    if there is not None and there.streams:
        load = on_top_of(there, load)
        wanted = servers or there.servers
        topology = as_there(topology, there.streams)
    if servers or not (there and there.streams):
        topology = spread(topology, wanted)
    place = replace(given, servers=wanted or 1, within=within)
    found = ceilings(topology, load, place)
    passed = sum(each.state == "passed" for each in found)
    if asked.as_json:
        print_json({"ceilings": [asdict(each) for each in found], "passed": passed})
    else:
        print_lines(_lines(found, passed))
    return 1 if passed else 0


def near_ceilings(topology: Topology, there: Seen | None) -> int:
    """Print the ceilings that are near with what the broker holds now; how many are passed."""
    if there is None:
        return 0
    load = on_top_of(there, Load(said="as it is"))
    found = ceilings(as_there(topology, there.streams), load, Place(there.servers))
    near = [each for each in found if each.state != "far"]
    passed = sum(each.state == "passed" for each in near)
    if near:
        print_lines(_lines(near, passed))
    return passed


async def seen_if_told(control: ControlPlane, topology: Topology) -> Seen | None:
    """What the broker holds, if it tells; a plan does without."""
    try:
        return await seen(control, topology)
    except BrokerError as error:
        complain(f"What the broker holds is not counted: {error.message}", error.remedy)
        return None


def _seen(settings: NatsSettings, topology: Topology) -> Seen | None:
    async def ask() -> Seen | None:
        async with connected(settings) as control:
            return await seen_if_told(control, topology)

    try:
        return asyncio.run(ask())
    except BrokerError as error:
        complain(f"What a broker holds already is not counted: {error.message}")
        return None


def _within(text: str) -> float:
    try:
        seconds = Duration.parse(text)
    except SettingsError as error:
        raise UsageError(f"--within: {error.message}", remedy=error.remedy) from None
    if seconds <= 0:
        raise UsageError(f"--within: {text} is nothing.", remedy="Write --within 365d.")
    return float(seconds)


def _lines(found: Sequence[Ceiling], passed: int) -> Iterator[Text]:
    for each in found:
        mark, style = _MARKS[each.state]
        yield Text(f"{mark} {each.sentence}", style)
        reached = f"{each.reached}; " if each.reached else ""
        yield Text(f"    {reached}the limit: {each.source}", "dim" if each.state == "far" else "")
        if each.state != "far":
            yield Text(f"    {each.remedy}")
    yield Text(
        f"{counted(passed, 'ceiling')} of {len(found)} would be passed."
        if passed
        else f"No ceiling of {len(found)} would be passed.",
        "bold red" if passed else "bold green",
    )
