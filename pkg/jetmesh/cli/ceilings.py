"""Where the mesh and its servers end, as `jetmesh plan --expect` shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from rich.text import Text

from jetmesh.cli.broker import broker_of
from jetmesh.cli.connection import asked
from jetmesh.cli.console import print_lines, show
from jetmesh.cli.exits import answering
from jetmesh.cli.options import duration
from jetmesh.cli.output import complain
from jetmesh.declare import Topology
from jetmesh.errors import BrokerError, UsageError
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


def ceilings_of(
    reference: str,
    nats_url: str,
    *,
    expect: Sequence[str],
    pods: Sequence[str],
    servers: str,
    values: Sequence[Path],
    within: str,
    as_json: bool,
) -> int:
    """Print every ceiling of what is expected; 1 if one is passed.

    Raises:
        UsageError: something is not declared, or no quantity; or the project cannot be loaded.
    """
    with answering():
        project = find_project(reference)
        whole = project.load()
        said = expected(whole.topology, expect, pods)
        chosen = quantity.count(servers, "--servers") if servers else 0
        seconds, given = _within(within), place_of_chart(project.root, values)
        topology = tuned(whole.topology, values)
        there = _seen(broker_of(project, whole.loaded, nats_url), topology)
    load = load_of(topology, said)
    nodes = chosen or given.servers
    if there is not None and there.streams:
        load = on_top_of(there, load)
        nodes = chosen or there.servers
        topology = as_there(topology, there.streams)
    if chosen or not (there and there.streams):
        topology = spread(topology, nodes)
    place = replace(given, servers=nodes or 1, within=seconds)
    found = ceilings(topology, load, place)
    passed = sum(each.state == "passed" for each in found)
    data = {"ceilings": [asdict(each) for each in found], "passed": passed}
    show(data, _lines(found, passed), as_json=as_json)
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


def _seen(nats: NatsSettings, topology: Topology) -> Seen | None:
    try:
        return asked(nats, lambda control: seen_if_told(control, topology))
    except BrokerError as error:
        complain(f"What a broker holds already is not counted: {error.message}")
        return None


def _within(text: str) -> float:
    seconds = duration("--within", text)
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
