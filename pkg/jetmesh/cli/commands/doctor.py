"""Report what is wrong with a running mesh, how it was seen, and what to do about it.

Exits with 0 when nothing is wrong, 1 when there is a problem, 2 when it cannot ask or tell.
docs/doctor.md explains every finding.

Example: jetmesh doctor --monitoring http://nats-0:8222,http://nats-1:8222

Example: jetmesh doctor --once --json | jq -r '.findings[] | .severity + " " + .sentence'
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Annotated, Final

import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from jetmesh.cli.broker import broker_of, running_elsewhere
from jetmesh.cli.console import console, print_json
from jetmesh.cli.exits import answering
from jetmesh.cli.options import AsJson, NatsUrl, System
from jetmesh.errors import UsageError
from jetmesh.operate.doctor import render as renderer
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.facts import Facts, Snapshot
from jetmesh.operate.doctor.finding import Finding
from jetmesh.operate.doctor.survey import Target, survey
from jetmesh.operate.project import find_project
from jetmesh.operate.up import upfile

OK, PROBLEM_FOUND, BROKER_PROBLEM = 0, 1, 2
_STEP_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Options:
    """How to look, and how to tell."""

    once: bool
    interval: float
    """Seconds between the two surveys."""
    watch: float
    """Seconds between surveys without end; 0 does not watch."""
    strict: bool
    as_json: bool


def doctor(
    system: System = "",
    nats_url: NatsUrl = "",
    monitoring: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="A server's monitoring URL, such as http://nats-0:8222: adds disks and fsync.",
        ),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between the two looks.")] = 5.0,
    watch: Annotated[
        float, typer.Option(min=0.0, help="Look again every N seconds, until Ctrl-C.")
    ] = 0.0,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Look only once: growth cannot be judged.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 on warnings as well.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    if once and watch:
        raise UsageError(
            "--once and --watch contradict each other.", remedy="Choose one of the two."
        )
    # stdout is for what is found; what the connection logs is in the findings
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    with answering():
        target = _target(system, nats_url, monitoring or ())
        runner = Runner(target, Options(once, interval, watch, strict, as_json))
        return runner.watch() if watch else runner.run()


def exit_code(facts: Facts, found: list[Finding], *, strict: bool) -> int:
    """0 nothing to do, 1 a problem (or with `strict` a warning), 2 nothing could be asked."""
    if facts.broker_problem is not None:
        return BROKER_PROBLEM
    counts = {"problem", "warning"} if strict else {"problem"}
    return PROBLEM_FOUND if any(each.severity in counts for each in found) else OK


class Runner:
    """Diagnoses, one after another, each printed."""

    def __init__(self, target: Target, options: Options) -> None:
        self._target = target
        self._options = options
        self._out = console()
        self._progress_on = Console(stderr=True)
        self._code = OK
        self._last: list[tuple[str, str]] | None = None

    def run(self) -> int:
        """One diagnosis."""
        facts = asyncio.run(self._diagnosis())
        self._print(facts, findings(facts))
        return self._code

    def watch(self) -> int:
        """A diagnosis after every pause, until Ctrl-C; the code is that of the last one."""
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self._watch())
        return self._code

    async def _diagnosis(self) -> Facts:
        with self._progress() as progress:
            facts = await self._survey(progress, None, own=self._options.once)
            if self._options.once or facts.broker_problem is not None:
                return facts
            await self._pause(progress, self._options.interval)
            return await self._survey(progress, facts.now)

    async def _watch(self) -> None:
        before: Snapshot | None = None
        pause = self._options.interval
        while True:
            with self._progress() as progress:
                facts = await self._survey(progress, before)
            self.print_change(facts)
            before = facts.now if facts.broker_problem is None else None
            with self._progress() as progress:
                await self._pause(progress, pause)
            pause = self._options.watch

    async def _survey(
        self, progress: Progress, before: Snapshot | None, *, own: bool = True
    ) -> Facts:
        text = "asking servers, streams, durables and services"
        task = progress.add_task(f"{text}{' again' if before else ''}", total=None)
        facts = await survey(self._target, before, own=own)
        progress.remove_task(task)
        return facts

    async def _pause(self, progress: Progress, seconds: float) -> None:
        task = progress.add_task("looking again, to see what moves and grows", total=seconds)
        began = monotonic()
        while (gone := monotonic() - began) < seconds:
            progress.update(task, completed=gone)
            await asyncio.sleep(min(_STEP_SECONDS, seconds - gone))
        progress.remove_task(task)

    def _progress(self) -> Progress:
        spinner = "line" if self._progress_on.options.ascii_only else "dots"
        columns = SpinnerColumn(spinner), TextColumn("{task.description}"), BarColumn()
        quiet = not self._progress_on.is_terminal
        return Progress(*columns, console=self._progress_on, transient=True, disable=quiet)

    def print_change(self, facts: Facts) -> None:
        """Show every round where it replaces the last one, else only what differs."""
        found = findings(facts)
        codes = [(each.code, each.about) for each in found]
        replaces = self._out.is_terminal and not self._options.as_json
        if replaces:
            self._out.clear()
        if replaces or self._options.as_json or codes != self._last:
            self._print(facts, found)
        self._last = codes

    def _print(self, facts: Facts, found: list[Finding]) -> None:
        self._code = exit_code(facts, found, strict=self._options.strict)
        if not self._options.as_json:
            self._out.print(renderer.render(facts, found))
            return
        # a line for each survey while watching: a program reads them one by one
        data = renderer.as_data(facts, found) | {"exit_code": self._code}
        print_json(data, in_a_line=bool(self._options.watch))


def _target(reference: str, nats_url: str, monitoring: Sequence[str]) -> Target:
    project = find_project(reference)
    whole = project.load()
    settings = broker_of(project, whole.loaded, nats_url)
    up = upfile.running(project.state)
    here = up is not None and up.nats_url == settings.url
    elsewhere = running_elsewhere(settings.url) if not here else ""
    processes = (
        {name: each.health or each.url for name, each in up.services.items()} if up and here else {}
    )
    target = Target(settings, whole.topology, whole.loaded.settings.provision)
    return replace(target, monitoring=_urls(monitoring), processes=processes, elsewhere=elsewhere)


def _urls(given: Sequence[str]) -> tuple[str, ...]:
    parts = [part.strip() for each in given for part in each.split(",") if part.strip()]
    return tuple(part if "://" in part else f"http://{part}" for part in parts)
