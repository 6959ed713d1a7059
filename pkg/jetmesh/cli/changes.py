"""A plan as lines of a diff, as `jetmesh plan` and `apply` show it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from jetmesh.cli.console import print_lines
from jetmesh.operate.humanize import counted
from jetmesh.transport.provision import Change, Plan

_MARKS = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "move": (">", "cyan"),
    "refuse": ("!", "red"),
}


def show(planned: Plan) -> None:
    """Print it."""
    if not planned.changes:
        print_lines([Text("The broker is as declared.", "green")])
        return
    print_lines(line for change in planned.changes for line in describe(change))
    refused = f", {len(planned.refused)} of them refused" if planned.refused else ""
    print_lines([Text(f"{counted(len(planned.changes), 'change')}{refused}.", "bold")])


def describe(change: Change) -> Iterator[Text]:
    """A change as lines of a diff."""
    mark, style = _MARKS[change.action]
    yield Text(f"{mark} {change.kind} {change.name}", style)
    if change.note:
        yield Text(f"    {change.note}")
    for field in change.fields:
        yield Text(f"    {field.name}: {' -> '.join(field.texts)}")
    if change.reason and change.action != "refuse":
        yield Text(f"    {change.reason}", "yellow")
    elif change.reason:
        yield Text(f"    refused: {change.reason}", "red")
        if change.loses_data:
            yield Text("    jetmesh apply --allow-data-loss does it all the same", "dim")
