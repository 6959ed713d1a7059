"""While old and new processes run side by side: can the old ones read what the new ones write?

Samples of the new contract go through the released readers of the same version. Those of an older
version need not be asked: they give a newer one back until newer code takes it (ADR-0026).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from jetmesh.declare import EventSpec, Topology
from jetmesh.errors import JetmeshError
from jetmesh.operate.evolution.describe import contract_of
from jetmesh.operate.evolution.generate import samples
from jetmesh.operate.evolution.released import Released


class Unreadable(Struct):
    """An event that old processes could not read while the new ones write it."""

    subject: str
    release: str
    """`1.1`."""
    readers: list[str]
    failed: int
    samples: int
    why: str
    """Of the first sample."""


def rollout(topology: Topology, released: Released) -> list[Unreadable]:
    """Every event that somebody here writes and reads, through what was released of it."""
    return [
        found
        for spec in topology.events
        if topology.readers(spec)
        for found in _of_event(topology, spec, released)
    ]


def _of_event(topology: Topology, spec: EventSpec, released: Released) -> Iterator[Unreadable]:
    releases = [each for each in released.of_event(spec.subject) if each.version == spec.version]
    if not releases:
        return
    try:
        written = samples(contract_of(spec))
    except JetmeshError:
        return  # `contracts check` says that there are none
    readers = sorted(set(topology.readers(spec)))
    for release in releases:
        if failures := [why for each in written if (why := release.refuses(each))]:
            failed, first = len(failures), failures[0]  # which may be quoted: it is about nobody
            name = str(release.name)
            yield Unreadable(spec.subject, name, readers, failed, len(written), first)
