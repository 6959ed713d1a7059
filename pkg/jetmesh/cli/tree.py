"""The story of a key as a tree: each step below its cause."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from jetmesh.operate.trace import Step
from jetmesh.privacy.mask import printable

_STYLES = {"event": "bold", "removal": "dim", "refusal": "yellow", "dead letter": "red"}


def tree_of(key: str, steps: Sequence[Step]) -> Tree:
    """The steps as a tree: each below its cause."""
    began = steps[0].stored_at
    heading = f"{printable(key)}, {began:%Y-%m-%d %H:%M:%S} UTC"
    ids = ", ".join(dict.fromkeys(step.trace for step in steps if step.trace))
    title = Text.assemble((heading, "bold"), (f"  trace {ids}" if ids else "", "dim"))
    tree = Tree(title, guide_style="dim")
    nodes: dict[str, Tree] = {}
    for step in _causes_first(steps):
        parent = nodes.get(step.cause, tree)
        nodes[step.id] = parent.add(_lines(step, began, lost=bool(step.cause) and parent is tree))
    return tree


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


def _lines(step: Step, began: datetime, *, lost: bool) -> Group:
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
    lines += [Text(f"  {printable(wait)}", "yellow") for wait in step.waits]
    lines += [Text(f"  {note}", "dim") for note in step.notes]
    return Group(*lines)
