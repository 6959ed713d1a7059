"""Contradictions between declarations of deadlines, as `check` finds those of events."""

from __future__ import annotations

from collections.abc import Iterator

from jetmesh.declare.event import EventSpec
from jetmesh.declare.handler import Handler
from jetmesh.declare.topology import Topology


def problems(topology: Topology) -> Iterator[str]:
    """What cannot work, each as one sentence."""
    for service in topology.services:
        setting = {spec: h for h in service.handlers for spec in h.deadlines.later}
        for handler in service.handlers:
            for spec in handler.deadlines.cancels:
                if spec not in setting:
                    yield (
                        f"{handler.where}: {handler.name} cancels {spec.name}, of which no handler "
                        f"of {service.name} returns a Later; cancel it where it is set."
                    )
            for spec in (*handler.deadlines.later, *handler.deadlines.cancels):
                if spec in setting and _kept_in(handler) != _kept_in(setting[spec]):
                    yield _kept_twice(handler, setting[spec], spec)


def _kept_in(handler: Handler) -> EventSpec | None:
    """The state that knows which deadlines of a handler wait; None: they wait on its lane."""
    return handler.remembers.state if handler.remembers else None


def _kept_twice(handler: Handler, other: Handler, spec: EventSpec) -> str:
    one, another = (_place(_kept_in(each)) for each in (handler, other))
    return (
        f"{handler.where}: {handler.name} has deadlines of {spec.name} {one}, {other.name} "
        f"{another}: neither finds those of the other; let both remember the same state, or none."
    )


def _place(state: EventSpec | None) -> str:
    return f"in the state {state.name}" if state else "without a state"
