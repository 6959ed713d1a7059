"""A diagnosis as people read it in a terminal, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from jetmesh.operate.doctor.facts import Facts
from jetmesh.operate.doctor.finding import SEVERITIES, Finding, Severity
from jetmesh.operate.humanize import counted, span
from jetmesh.privacy.mask import printable

_MARKS: Final[dict[Severity, tuple[str, str]]] = {
    "problem": ("✗", "bold red"),
    "warning": ("!", "bold yellow"),
    "note": ("·", "bold cyan"),
}


def render(facts: Facts, found: Sequence[Finding]) -> Group:
    """Everything that was found, the worst first, and what was looked at."""
    parts: list[RenderableType] = [_heading(facts)]
    if facts.broker_problem is None and all(each.severity == "note" for each in found):
        parts += [Text(), Text("✓ All is well.", "bold green")]
    for severity in SEVERITIES:
        group = [each for each in found if each.severity == severity]
        if group:
            parts.append(Text())
            parts.append(Text(counted(len(group), severity).capitalize(), _MARKS[severity][1]))
            parts += [_indented(Group(*_lines(each))) for each in _together(group)]
    parts.append(Text())
    if facts.broker_problem is None:
        parts.append(Text(f"Looked at {coverage(facts)}.", "dim"))
    return Group(*parts)


def as_data(facts: Facts, found: Sequence[Finding]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "at": facts.now.taken_at.isoformat() if facts.broker_problem is None else None,
        "asked": facts.broker_problem is None,
        "server": {
            "url": facts.server.url,
            "name": facts.server.name,
            "version": facts.server.version,
            "cluster": facts.server.cluster,
        },
        "looked_at": _counts(facts),
        "between_looks": round(facts.elapsed, 3) or None,
        "found": {s: sum(each.severity == s for each in found) for s in SEVERITIES},
        "findings": [msgspec.to_builtins(each) for each in found],
    }


def coverage(facts: Facts) -> str:
    """What a clean bill of health covers."""
    counts = _counts(facts)
    nouns = {
        "servers": "server",
        "streams": "stream",
        "durables": "durable",
        "services": "service",
        "instances": "instance",
        "dead_letters": "dead letter",
        "on_lanes": "message",
    }
    parts = [counted(counts[key], noun) for key, noun in nouns.items()]
    parts[-1] += " on lanes"
    twice = (
        f"twice, {span(facts.elapsed)} apart" if facts.before else "once, so growth was not judged"
    )
    return f"{', '.join(parts[:-1])} and {parts[-1]}; {twice}"


def _counts(facts: Facts) -> dict[str, int]:
    now = facts.now
    answering = [s for s in facts.topology.services if facts.instances_of(s.name)]
    letters = sum(group.count for group in now.letters)
    return {
        "servers": len(_servers(facts)),
        "streams": len(now.streams),
        "durables": len(list(facts.durables())),
        "services": len(answering),
        "instances": sum(len(facts.instances_of(s.name)) for s in answering),
        "dead_letters": letters,
        "on_lanes": sum(lane.due + lane.scheduled for lane in now.lanes),
    }


def _servers(facts: Facts) -> set[str]:
    """Everyone that is known to keep something."""
    clusters = [info.cluster for info in facts.now.streams.values()]
    found = {facts.server.name} | {cluster.leader for cluster in clusters}
    found |= {replica.name for cluster in clusters for replica in cluster.replicas}
    return found - {""}


def _heading(facts: Facts) -> Text:
    server = facts.server
    if facts.broker_problem is not None:
        return Text(server.url, "bold")
    kept = f"{server.name} in the cluster {server.cluster}" if server.cluster else "standing alone"
    about = f"  nats-server {server.version}, {kept}"
    return Text.assemble((printable(server.url), "bold"), (printable(about), "dim"))


def _together(found: Sequence[Finding]) -> Iterator[list[Finding]]:
    """Findings that have one remedy."""
    for _, several in groupby(found, key=lambda each: (each.code, each.remedy)):
        yield list(several)


def _lines(several: Sequence[Finding]) -> Iterator[RenderableType]:
    for finding in several:
        mark, style = _MARKS[finding.severity]
        yield Text.assemble((mark, style), " ", (printable(finding.sentence), "bold"))
        for clause in finding.evidence:
            yield _indented(Text(printable(clause), "dim"))
    yield _indented(Text.assemble(("→ ", "green"), printable(several[0].remedy)))


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2), expand=False)
