"""Writes what is declared to `contracts/released`, where it is never changed again."""

from __future__ import annotations

from pathlib import Path

from jetmesh.declare import EventSpec, Topology
from jetmesh.errors import UsageError
from jetmesh.operate.evolution.check import check
from jetmesh.operate.evolution.describe import contract_of
from jetmesh.operate.evolution.generate import samples
from jetmesh.operate.evolution.released import Name, Release, Released
from jetmesh.operate.example import example
from jetmesh.operate.generated import write
from jetmesh.operate.schemas import json_schema


def release(topology: Topology, directory: Path) -> list[Release]:
    """Write every event that differs from its newest release; return what is new.

    Raises:
        UsageError: a change breaks readers, a version is skipped, or files were edited by hand.
    """
    released = Released.below(directory)
    found = check(topology, released)
    red = [each for each in found.findings if each.verdict == "red"]
    if red:
        raise UsageError(
            f"{red[0].event} {red[0].path}: {red[0].what}; nothing was released.",
            remedy=f"`jetmesh contracts check` shows all of it. {red[0].remedy}",
        )
    changed = [spec for spec in topology.events if spec.subject in found.unreleased]
    new = [_new(spec, released.of_event(spec.subject)) for spec in changed]
    files: dict[Path, str | None] = {}
    for each in new:
        files |= each.files(directory)
    write(files)
    return new


def _new(spec: EventSpec, history: list[Release]) -> Release:
    last = history[-1].name if history else Name(spec.version - 1)
    if spec.version == last.version:
        name = Name(last.version, last.revision + 1)
    elif spec.version == last.version + 1:
        name = Name(spec.version)
    else:
        raise UsageError(
            f"{spec.subject} is version {spec.version}, and {last} is its newest release: "
            "a version was skipped.",
            remedy=f"Write version={last.version + 1} at {spec.where}.",
        )
    contract = contract_of(spec)
    try:
        examples = [example(spec)]
    except UsageError:  # it declares none
        examples = []
    return Release(name, contract, samples(contract, *examples), json_schema(spec))
