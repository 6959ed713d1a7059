"""Contradictions between declarations of states, as `check` finds those of events."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from jetmesh.declare.state import StateSpec
from jetmesh.declare.topology import Topology
from jetmesh.protocol.streams import STATES


def problems(topology: Topology) -> Iterator[str]:
    """What cannot work, each as one sentence."""
    yield from _misused(topology)
    yield from _written_twice(topology)
    yield from _followed_by_others(topology)


def _misused(topology: Topology) -> Iterator[str]:
    for handler in topology.handlers:
        if isinstance(handler.input, StateSpec):
            yield (
                f"{handler.where}: {handler.name} handles the state {handler.input.name}, of which "
                "only the newest is kept; have whoever changes it publish an event."
            )
    for spec in topology.events:
        if spec.subject.startswith(f"{STATES}.") and not isinstance(spec, StateSpec):
            yield f"{spec.where}: the domain of {spec.subject!r} belongs to the mesh; use another."


def _written_twice(topology: Topology) -> Iterator[str]:
    """One service writes a state, and takes each event into it once."""
    remembering = [(h, h.remembers.state) for h in topology.handlers if h.remembers]
    for (one, state), (other, another) in combinations(remembering, 2):
        if state != another:
            continue
        if one.service != other.service:
            yield (
                f"{other.where}: {other.service} changes the state {state.name}, which "
                f"{one.service} changes too; a state has one owner."
            )
        elif one.input == other.input:
            yield (
                f"{other.where}: {other.name} changes the state {state.name} for "
                f"{one.input.subject!r}, as {one.name} does; make one handler of both."
            )


def _followed_by_others(topology: Topology) -> Iterator[str]:
    """The guard of an output tells what followed from the state: nobody else may publish there."""
    followed = {spec: h for h in topology.handlers if h.remembers for spec in h.outputs}
    for handler in topology.handlers:
        for spec in () if handler.remembers else handler.outputs:
            if spec in followed:
                yield (
                    f"{handler.where}: {handler.name} publishes {spec.subject!r}, which follows "
                    f"from a state in {followed[spec].name}; publish it in one of them."
                )
