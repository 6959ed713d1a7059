"""What `jetmesh logs` prints."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from rich.text import Text

from jetmesh.cli.console import console
from jetmesh.operate.logs import Files, Line, Pods, Source, chosen, lines
from jetmesh.operate.project import find_project
from jetmesh.privacy.mask import printable

_COLOURS: Final = ("cyan", "magenta", "blue", "green", "bright_cyan", "bright_magenta")
_LEVELS: Final = {"warning": "yellow", "error": "red", "critical": "red", "debug": "dim"}
_SAID: Final = ("event", "level", "timestamp", "service", "exception")
"""Fields that have a place of their own."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    key: str
    services: Sequence[str]
    follow: bool
    pods: bool
    namespace: str
    as_json: bool


def logs(reference: str, options: Options) -> None:
    """Print the lines of every service that match.

    Raises:
        JetmeshError: there are no logs, or kubectl fails.
    """
    project = find_project(reference)
    source: Source
    if options.pods:
        source = Pods(project.system().name, options.namespace, follow=options.follow)
    else:
        source = Files(project.state / "logs")
    printer = _Json() if options.as_json else _Screen()
    with contextlib.suppress(KeyboardInterrupt):
        for found in lines(source, follow=options.follow):
            printer.show(chosen(found, options.key, options.services))


class _Json:
    def show(self, found: Sequence[Line]) -> None:
        """One object on each line."""
        for line in found:
            fields = line.fields if line.is_json else {"event": line.text, **line.fields}
            known = {"timestamp": line.at.isoformat(), "service": line.service}
            sys.stdout.buffer.write(msgspec.json.encode({**fields, **known}) + b"\n")
        sys.stdout.buffer.flush()


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
