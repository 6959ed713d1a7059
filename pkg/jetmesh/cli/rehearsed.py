"""`jetmesh rehearse`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from jetmesh.cli.connection import broker_of, connected
from jetmesh.cli.console import print_json, print_lines
from jetmesh.cli.exits import FAILED, answering
from jetmesh.declare import Service, Topology
from jetmesh.errors import UsageError
from jetmesh.operate.project import Whole, find_project
from jetmesh.privacy.mask import printable
from jetmesh.runtime.rehearsing.cut import sealed
from jetmesh.runtime.rehearsing.doubles import require_doubles
from jetmesh.runtime.rehearsing.rehearsal import Rehearsal
from jetmesh.runtime.rehearsing.report import Group, Report
from jetmesh.runtime.rehearsing.states import Remembered, remembered
from jetmesh.runtime.rehearsing.stored import Known, newest
from jetmesh.settings import NatsSettings

_MOST_KINDS = 4
"""In the sentence that sums up."""
_STYLES = {"differs": "yellow", "fails": "red", "network": "red", "passes": "green"}


def rehearse(
    name: str, last: int, allowed: Sequence[str], reference: str, nats_url: str, *, as_json: bool
) -> int:
    """Rehearse a service and print what differs; 1 if anything does that is not allowed.

    Raises:
        UsageError: there is no such service, nothing to rehearse, or something has no double.
    """
    with answering():
        project = find_project(reference)
        whole = project.load()
        service = _service(whole, name)
        require_doubles(service, service.handlers)
        settings = whole.loaded.of(service)
        nats = broker_of(project, whole.loaded, nats_url)
        read = asyncio.run(_read(nats, service, whole.topology, last))
        reports = []
        for handler, (several, found) in zip(service.handlers, read, strict=True):
            with (
                sealed(),
                quiet(),
                progress(f"Rehearsing {handler.name}", len(several)) as on_played,
            ):
                rehearsal = Rehearsal(service, settings, whole.topology, on_played)
                compared = rehearsal.compare(handler, several, allowed=allowed, found=found)
                reports.append(asyncio.run(compared))
    code = FAILED if any(report.refused for report in reports) else 0
    if as_json:
        print_json({"service": name, "handlers": reports, "exit_code": code})
    else:
        for report in reports:
            print_lines(lines_of(report))
    return code


@contextmanager
def quiet() -> Iterator[None]:
    """Of what handlers log nothing is shown: it is about messages that were handled long ago."""
    before = structlog.get_config()
    nothing = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=nothing, logger_factory=structlog.ReturnLoggerFactory())
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def progress(what: str, total: int) -> Iterator[Any]:
    """A bar on a terminal; yields what moves it."""
    console = Console(stderr=True)
    columns = TextColumn(what), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as it:
        bar = it.add_task("", total=total)
        yield lambda done: it.update(bar, completed=done)


def lines_of(report: Report) -> Iterator[Text]:
    """A report as people read it."""
    yield Text(f"{report.handler}: {summary(report)}", "bold")
    for group in report.groups:
        style = "dim" if group.allowed else _STYLES[group.verdict]
        yield Text(f"  {head(group)}", style)
        for example in group.examples:
            detail = f"  {printable(example.detail)}" if example.detail else ""
            yield Text(f"    {example.key or '(no key)'}  {example.place}{detail}")
        hint = "allowed" if group.allowed else f"if that is meant: --allow '{group.kind}'"
        if group.verdict != "passes":
            yield Text(f"    {printable(hint)}", "dim")


def summary(report: Report) -> str:
    """All of it in one sentence."""
    if not report.rehearsed + report.others:
        return f"nothing is stored on {report.subject}."
    parts = [f"{report.same:,} the same"]
    parts += [head(group, first=True) for group in report.groups[:_MOST_KINDS]]
    if more := report.groups[_MOST_KINDS:]:
        parts.append(f"{sum(group.count for group in more):,} of {len(more)} kinds more")
    if report.open:
        parts.append(f"{report.open:,} without a verdict yet")
    if report.gone:
        parts.append(f"{report.gone:,} whose outcome is no longer stored")
    if report.today:
        parts.append(
            f"{report.today:,} with the state of today, as that of then is not known "
            f"({report.why_today})"
        )
    if report.others:
        parts.append(f"{report.others:,} whose key another message had decided")
    return f"{', '.join(parts)}."


def head(group: Group, *, first: bool = False) -> str:
    """What a group's messages do: `12 differ (`orders.rejected` where …)`."""
    names = [example.key for example in group.examples[:1] if example.key]
    named = f", first: {names[0]}" if first and names else ""
    return f"{group.count:,} {group.verb} ({group.about}{named})"


def _service(whole: Whole, name: str) -> Service:
    for service in whole.services:
        if service.name == name and service.handlers:
            return service
        if service.name == name:
            raise UsageError(f"{name} handles nothing, so there is nothing to rehearse.")
    having = [service.name for service in whole.services if service.handlers]
    raise UsageError(f"There is no service {name!r}.", remedy=f"Name one of {', '.join(having)}.")


async def _read(
    nats: NatsSettings, service: Service, topology: Topology, last: int
) -> list[tuple[list[Known], Remembered | None]]:
    read = []
    async with connected(nats) as control:
        for handler in service.handlers:
            several = await newest(control, handler, last)
            messages = [known.message for known in several]
            read.append((several, await remembered(control, topology, handler, messages)))
    return read
