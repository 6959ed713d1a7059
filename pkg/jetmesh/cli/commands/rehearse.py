"""Run a service's handlers on stored messages, and compare with what came of them then.

The code is this one, the messages are the broker's. The network is cut meanwhile: what has effects
is replaced by the doubles that the service declares, and nothing is stored or acked. Exits with 0
when nothing differs but what is allowed, with 1 when something does, and with 2 when it cannot be
rehearsed.

Example: jetmesh rehearse payments --last 10000

Example: jetmesh rehearse order-validation --allow 'outcome:orders.rejected:over_ceiling'
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from jetmesh.cli.broker import broker_of
from jetmesh.cli.connection import asked
from jetmesh.cli.console import print_json, print_lines
from jetmesh.cli.exits import FAILED, answering
from jetmesh.cli.options import AsJson, NatsUrl, System
from jetmesh.cli.rehearsals import head, rehearsed
from jetmesh.declare import Service, Topology
from jetmesh.errors import UsageError
from jetmesh.operate.project import Whole, find_project
from jetmesh.privacy.mask import printable
from jetmesh.runtime.rehearsing.doubles import require_doubles
from jetmesh.runtime.rehearsing.report import Report
from jetmesh.runtime.rehearsing.states import Remembered, remembered
from jetmesh.runtime.rehearsing.stored import Known, newest
from jetmesh.transport.control import ControlPlane

_MOST_KINDS = 4
"""In the sentence that sums up."""
_STYLES = {"differs": "yellow", "fails": "red", "network": "red", "passes": "green"}


def rehearse(
    service: Annotated[str, typer.Argument(help="The service whose handlers are rehearsed.")],
    last: Annotated[
        int, typer.Option(min=1, metavar="N", help="The newest N messages of each handler.")
    ] = 1000,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="A kind of difference that is meant; * stands for any."),
    ] = None,
    system: System = "",
    nats_url: NatsUrl = "",
    *,
    as_json: AsJson = False,
) -> int:
    with answering():
        project = find_project(system)
        whole = project.load()
        found = _service(whole, service)
        require_doubles(found, found.handlers)
        nats = broker_of(project, whole.loaded, nats_url)
        read = asked(nats, lambda control: _read(control, found, whole.topology, last))
        reports = [
            rehearsed(whole, handler, messages, then, allowed=allow or ())
            for handler, (messages, then) in zip(found.handlers, read, strict=True)
        ]
    code = FAILED if any(report.refused for report in reports) else 0
    if as_json:
        print_json({"service": service, "handlers": reports, "exit_code": code})
    else:
        print_lines(line for report in reports for line in _lines(report))
    return code


def _service(whole: Whole, name: str) -> Service:
    for service in whole.services:
        if service.name == name and service.handlers:
            return service
        if service.name == name:
            raise UsageError(f"{name} handles nothing, so there is nothing to rehearse.")
    having = [service.name for service in whole.services if service.handlers]
    raise UsageError(f"There is no service {name!r}.", remedy=f"Name one of {', '.join(having)}.")


async def _read(
    control: ControlPlane, service: Service, topology: Topology, last: int
) -> list[tuple[list[Known], Remembered | None]]:
    read = []
    for handler in service.handlers:
        several = await newest(control, handler, last)
        messages = [known.message for known in several]
        read.append((several, await remembered(control, topology, handler, messages)))
    return read


def _lines(report: Report) -> Iterator[Text]:
    yield Text(f"{report.handler}: {_summary(report)}", "bold")
    for group in report.groups:
        style = "dim" if group.allowed else _STYLES[group.verdict]
        yield Text(f"  {head(group)}", style)
        for example in group.examples:
            detail = f"  {printable(example.detail)}" if example.detail else ""
            yield Text(f"    {example.key or '(no key)'}  {example.place}{detail}")
        hint = "allowed" if group.allowed else f"if that is meant: --allow '{group.kind}'"
        if group.verdict != "passes":
            yield Text(f"    {printable(hint)}", "dim")


def _summary(report: Report) -> str:
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
