"""Show the log lines of every service in the order of time.

They come from the files that `jetmesh up` writes into .jetmesh/logs, or with --pods from a cluster.

Example: jetmesh logs --key p-1 --follow

Example: jetmesh logs --pods --namespace shop --json | jq 'select(.level == "error")'
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import typer
from rich.text import Text

from jetmesh.cli.console import console, write
from jetmesh.cli.options import AsJson, System
from jetmesh.operate.logs import Files, Line, Pods, Source, chosen, lines
from jetmesh.operate.project import find_project
from jetmesh.privacy.mask import printable

_COLOURS: Final = ("cyan", "magenta", "blue", "green", "bright_cyan", "bright_magenta")
_LEVELS: Final = {"warning": "yellow", "error": "red", "critical": "red", "debug": "dim"}
_SAID: Final = ("event", "level", "timestamp", "service", "exception")
"""Fields that have a place of their own."""


def logs(
    system: System = "",
    key: Annotated[str, typer.Option(help="Only lines about this key, such as p-1.")] = "",
    service: Annotated[
        list[str] | None, typer.Option(help="Only lines of this service; repeatable.")
    ] = None,
    namespace: Annotated[
        str, typer.Option(help="Where the pods are. Default: as kubectl's context says.")
    ] = "",
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing what is written from now on.")
    ] = False,
    pods: Annotated[
        bool, typer.Option("--pods", help="Read the pods of a cluster through kubectl.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    project = find_project(system)
    source: Source
    if pods:
        source = Pods(project.system().name, namespace, follow=follow)
    else:
        source = Files(project.state / "logs")
    show = _as_json if as_json else _Screen().show
    with contextlib.suppress(KeyboardInterrupt):
        for found in lines(source, follow=follow):
            show(chosen(found, key, service or []))


def _as_json(found: Sequence[Line]) -> None:
    """One object on each line."""
    told = []
    for line in found:
        fields = line.fields if line.is_json else {"event": line.text, **line.fields}
        known = {"timestamp": line.at.isoformat(), "service": line.service}
        told.append(msgspec.json.encode({**fields, **known}) + b"\n")
    write(b"".join(told))


class _Screen:
    def __init__(self) -> None:
        self._console = console()
        self._styles: dict[str, str] = {}
        self._width = 0

    def show(self, found: Sequence[Line]) -> None:
        """Time, service and what it says, each service in its colour."""
        for line in found:
            self._styles.setdefault(line.service, _COLOURS[len(self._styles) % len(_COLOURS)])
        self._width = max([self._width, *map(len, self._styles)])
        for line in found:
            self._console.print(self._text(line), soft_wrap=True)

    def _text(self, line: Line) -> Text:
        name = printable(line.service)
        start = (f"{line.at:%H:%M:%S.%f}"[:-3] + " ", "dim")
        whose = (f"{name:<{self._width}} │ ", self._styles[line.service])
        if not line.is_json:
            return Text.assemble(start, whose, printable(line.text))
        level = str(line.fields.get("level", ""))
        pairs = [f"{k}={v}" for k, v in line.fields.items() if k not in _SAID]
        said = printable(str(line.fields.get("event", "")))
        text = Text.assemble(start, whose, (f"{level:<8}", _LEVELS.get(level, "")), (said, "bold"))
        text.append(f"  {printable(' '.join(pairs))}" if pairs else "", "dim")
        for each in str(line.fields.get("exception", "")).splitlines():
            text.append(f"{os.linesep}  {printable(each)}", "dim")
        return text
