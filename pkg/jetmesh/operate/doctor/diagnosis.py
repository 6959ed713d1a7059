"""From facts to findings: every check, in the order in which one would ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Final

from jetmesh.operate.doctor.checks import (
    ceilings,
    deadlines,
    durables,
    letters,
    pace,
    processes,
    reading,
    servers,
    services,
    states,
    streams,
)
from jetmesh.operate.doctor.facts import Facts
from jetmesh.operate.doctor.finding import SEVERITIES, Finding, Kind

Check = Callable[[Facts], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Area:
    """What is checked together."""

    title: str
    checks: tuple[Check, ...]
    kinds: tuple[Kind, ...]


def _area(title: str, module: ModuleType) -> Area:
    kinds = (each for each in vars(module).values() if isinstance(each, Kind))
    return Area(title, module.CHECKS, tuple(kinds))


AREAS: Final = (
    _area("Servers", servers),
    _area("Streams and durables", streams),
    _area("Flow", durables),
    _area("Pace", pace),
    _area("Ceilings", ceilings),
    _area("Services", services),
    _area("What is stored", reading),
    _area("What is remembered", states),
    _area("Dead letters and lanes", letters),
    _area("Time", deadlines),
    _area("Processes", processes),
)


def findings(facts: Facts) -> list[Finding]:
    """Everything that is to be said about `facts`, the worst first."""
    if facts.broker_problem is not None:
        return [servers.broker(facts.server, facts.broker_problem)]
    found = [each for area in AREAS for check in area.checks for each in check(facts)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
