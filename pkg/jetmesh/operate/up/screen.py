"""What `jetmesh up` shows: progress while starting, addresses once ready, then log lines."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from jetmesh.operate.up.access import AS_OPERATOR, Access
from jetmesh.operate.up.lines import clean
from jetmesh.privacy.mask import printable

if TYPE_CHECKING:
    from jetmesh.operate.up.child import Child

OWN: Final = "jetmesh"
_COLOURS: Final = ("cyan", "magenta", "blue", "yellow", "green", "bright_cyan", "bright_magenta")
_LED: Final = ("good", "invalid", "declined")
_MOST_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Address:
    """Where to look, and what is there."""

    name: str
    url: str
    note: str = ""


class Screen:
    """One writer of the terminal, so that lines of several processes never mix."""

    def __init__(
        self,
        console: Console | None = None,
        *,
        record: Callable[[str, str], None] = lambda _name, _text: None,
    ) -> None:
        self._record = record
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.in_terminal = self.console.is_terminal
        self._styles: dict[str, str] = {OWN: "bold"}
        self._width = len(OWN)

    def expect(self, names: Sequence[str]) -> None:
        """Give each process its colour, and all prefixes one width."""
        for number, name in enumerate(names):
            self._styles[name] = _COLOURS[number % len(_COLOURS)]
        self._width = max(len(name) for name in (OWN, *names))

    def line(self, name: str, text: str) -> None:
        """Show one line that a process wrote, and keep it."""
        self._record(name, text)
        prefix = (f"{name:<{self._width}} │ ", self._styles.get(name, ""))
        self.console.print(
            Text.assemble(prefix, Text.from_ansi(clean(text, colours=self.in_terminal)))
        )

    def say(self, text: str) -> None:
        """Show one line of our own."""
        self.line(OWN, text)

    @contextmanager
    def starting(self, children: Sequence[Child]) -> Iterator[None]:
        """Show who is ready and what the others wait for, below the log lines."""
        if not self.in_terminal:
            yield
            return
        from rich.live import Live  # noqa: PLC0415 - only in a terminal

        progress = _Progress(children, "line" if self.console.options.ascii_only else "dots")
        with Live(progress, console=self.console, refresh_per_second=12, transient=True):
            yield

    def welcome(
        self,
        title: str,
        addresses: Sequence[Address],
        access: Access,
        examples: Sequence[Example],
    ) -> None:
        """Show every address, and what to try."""
        out = self.console
        width = max(len(address.name) for address in addresses)
        out.print()
        out.print(Text(title, style="bold green"))
        out.print()
        for address in addresses:
            note = (f"  {address.note}" if address.note else "", "dim")
            name = f"  {address.name:<{width}}  "
            out.print(Text.assemble(name, (address.url, "underline cyan"), note))
        out.print()
        out.print(Text("Try it in another terminal:", style="bold"))
        out.print(f"  export NATS_URL={access.url}")
        if access.ca:
            out.print(f"  export NATS_CA={shlex.quote(access.ca)}")
        for each in examples:
            out.print(Text(f"  # {each.title}", style="dim"))
            out.print(Text(f"  {each.nats}"))
            out.print(Text(f"  {each.jetmesh}"))
        if examples and examples[0].key:
            out.print(Text("  # the story of the first one", style="dim"))
            out.print(Text(f"  {own_command()} trace {shlex.quote(examples[0].key)}"))
        if not access.everybody:
            out.print(
                Text("  # what the nats CLI may do with the operator's key alone", style="dim")
            )
            out.print(Text(f"  {AS_OPERATOR} stream view"))
        out.print()
        out.print(Text("Ctrl-C stops everything; stored data is kept for the next start.", "dim"))
        out.print()


class _Progress:
    """Rendered anew with every frame, from what the children are."""

    def __init__(self, children: Sequence[Child], spinner: str) -> None:
        from rich.spinner import Spinner  # noqa: PLC0415 - only in a terminal

        self._children = children
        self._spinner = Spinner(spinner)

    def __rich_console__(self, console: Console, options: object) -> Iterator[Text]:
        del options
        width = max((len(child.program.name) for child in self._children), default=0)
        turning = self._spinner.render(console.get_time())
        for child in self._children:
            name = f" {child.program.name:<{width}} "
            if child.problem:
                mark = turning.copy() if isinstance(turning, Text) else Text("·")
                yield Text.assemble(mark, name, (printable(child.problem), "yellow"))
            else:
                ready = f"ready after {child.ready_after:.1f} s"
                yield Text.assemble(("✓", "green"), name, (ready, "dim"))


@dataclass(frozen=True, slots=True)
class Example:
    """One example to publish, in both ways."""

    title: str
    nats: str
    jetmesh: str
    key: str


def examples(root: Path, events: Mapping[str, str]) -> list[Example]:
    """Examples of what may come in: `examples/<subject>/*.json`, or for all events of a domain
    `examples/<domain>/*.json`, good, invalid, declined first.
    """
    found: list[Example] = []
    for subject, key_field in events.items():
        own = root / "examples" / subject
        directory = own if own.is_dir() else own.with_name(subject.partition(".")[0])
        files = [f for f in directory.glob("*.json") if b"{{" not in f.read_bytes()]
        files.sort(key=lambda f: (_LED.index(f.stem) if f.stem in _LED else len(_LED), f.stem))
        chosen = files[:_MOST_EXAMPLES]
        found += [_example(root, subject, key_field, file) for file in chosen]
    return found


def own_command() -> str:
    """How this command is called from the current directory."""
    called = Path(sys.argv[0])
    if called.name != OWN:
        return OWN
    on_path = shutil.which(OWN)
    if on_path and Path(on_path).resolve() == called.resolve():
        return OWN
    return shlex.quote(os.path.relpath(called))


def _example(root: Path, subject: str, key_field: str, file: Path) -> Example:
    path = shlex.quote(os.path.relpath(file, root))
    try:
        key = str(json.loads(file.read_bytes()).get(key_field, ""))
    except (ValueError, AttributeError):
        key = ""
    return Example(
        title=subject if file.stem == "example" else file.stem.replace("-", " "),
        nats=f'nats pub {subject} "$(cat {path})"',
        jetmesh=f"{own_command()} publish {subject} {path}",
        key=key,
    )
