"""`jetmesh trace`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import msgspec
import typer
from rich.console import Console, Group
from rich.text import Text
from rich.tree import Tree

from jetmesh.cli.connecting import broker_of, connected
from jetmesh.declare import Topology
from jetmesh.errors import JetmeshError
from jetmesh.operate.project import find_project
from jetmesh.operate.trace import Step
from jetmesh.operate.trace import trace as story_of
from jetmesh.operate.up.lines import printable
from jetmesh.settings import NatsSettings

_STYLES = {"event": "bold", "refusal": "yellow", "dead letter": "red"}
_WIDE = 160
"""Columns when the output is no terminal: a file is not to be wrapped at 80."""


def trace(key: str, reference: str, nats_url: str, *, as_json: bool) -> None:
    """Print the story of `key`.

    Raises:
        JetmeshError: nothing is stored under this key.
    """
    project = find_project(reference)
    whole = project.load()
    settings = broker_of(project, whole.loaded, nats_url)
    steps = asyncio.run(_trace(settings, whole.topology, key))
    if not steps:
        raise JetmeshError(
            f"Nothing is stored under the key {key!r}.",
            remedy="Check its spelling; an event typed by hand is found once a service took it.",
        )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(steps), indent=2).decode())
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)
    console.print(story(key, steps))


def story(key: str, steps: Sequence[Step]) -> Tree:
    """The steps as a tree: each below its cause."""
    began = steps[0].stored_at
    heading = f"{printable(key)}, {began:%Y-%m-%d %H:%M:%S} UTC"
    tree = Tree(Text(heading, "bold"), guide_style="dim")
    nodes: dict[str, Tree] = {}
    for step in _causes_first(steps):
        parent = nodes.get(step.cause, tree)
        nodes[step.id] = parent.add(_told(step, began, lost=bool(step.cause) and parent is tree))
    return tree


async def _trace(settings: NatsSettings, topology: Topology, key: str) -> list[Step]:
    async with connected(settings) as control:
        return await story_of(control, topology, key)


def _causes_first(steps: Sequence[Step]) -> list[Step]:
    """By time, but never before its cause: the clocks of two servers may differ."""
    left, placed, ordered = list(steps), set[str](), list[Step]()
    ids = {step.id for step in steps}
    while left:
        ready = [s for s in left if s.cause in placed or s.cause not in ids] or left
        ordered += ready
        placed |= {step.id for step in ready}
        left = [step for step in left if step not in ready]
    return ordered


def _told(step: Step, began: datetime, *, lost: bool) -> Group:
    after = (step.stored_at - began).total_seconds() * 1000
    line = Text(f"{step.stored_at:%H:%M:%S.%f}"[:-3], "dim")
    line.append(f" {after:+9,.0f} ms  ", "dim")
    line.append(printable(step.subject), _STYLES[step.kind])
    line.append(f"  {step.id}", "cyan")
    line.append(f"  {step.by or 'from outside'}", "green" if step.by else "dim")
    lines = [line]
    if step.summary:
        style = "" if step.kind == "event" else _STYLES[step.kind]
        lines.append(Text(f"  {printable(step.summary)}", style))
    if lost:
        lines.append(Text(f"  its cause {step.cause} is no longer stored", "dim"))
    lines += [Text(f"  {wait}", "yellow") for wait in step.waits]
    return Group(*lines)
