"""From facts to findings: every check, in the order in which one would ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from jetmesh.operate.doctor.checks import durables, letters, servers, services, streams
from jetmesh.operate.doctor.facts import Facts
from jetmesh.operate.doctor.finding import SEVERITIES, Finding, Kind

Check = Callable[[Facts], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Area:
    """What is checked together."""

    title: str
    checks: tuple[Check, ...]
    kinds: tuple[Kind, ...]


AREAS: Final = (
    Area("Servers", servers.CHECKS, servers.KINDS),
    Area("Streams and durables", streams.CHECKS, streams.KINDS),
    Area("Flow", durables.CHECKS, durables.KINDS),
    Area("Services", services.CHECKS, services.KINDS),
    Area("Dead letters and lanes", letters.CHECKS, letters.KINDS),
)


def findings(facts: Facts) -> list[Finding]:
    """Everything that is to be said about `facts`, the worst first."""
    if facts.broker_problem is not None:
        return list(servers.broker(facts))
    found = [each for area in AREAS for check in area.checks for each in check(facts)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
