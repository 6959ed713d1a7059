"""Whether a process that undoes what was done undoes all of it, the last first (ADR-0037).

Of each way to an end of `undone=` it is followed which events had an effect, and which of them were
undone on the way: what a handler publishes tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from jetmesh.declare.check_processes import edges, processes_of, takers
from jetmesh.declare.event import EventSpec, spec_of
from jetmesh.declare.handler import Handler
from jetmesh.declare.process import Process, Step
from jetmesh.declare.state import StateSpec
from jetmesh.declare.topology import Topology

_Edge: TypeAlias = tuple[Handler, Step, Step]
_Done: TypeAlias = tuple[EventSpec, ...]
"""Events with an effect that is not undone, in their order."""
_MOST_WAYS: Final = 10_000


def problems(topology: Topology) -> Iterator[str]:
    """What cannot work, each as one sentence."""
    for spec, process in processes_of(topology):
        if process.undone:
            found = [*edges(takers(topology, spec))]
            yield from _Undoing(topology, spec, process, found).problems()


@dataclass(slots=True)
class _Undoing:
    topology: Topology
    spec: StateSpec
    process: Process
    edges: list[_Edge]
    told: dict[str, None] = field(default_factory=dict)

    def problems(self) -> Iterator[str]:
        """Each once, however many ways lead to it."""
        leading = self._leading()
        ways: list[tuple[Step, _Done]] = [(None, ())]
        seen = {*ways}
        while ways and len(seen) < _MOST_WAYS:
            step, done = ways.pop()
            for handler, before, after in self.edges:
                if before != step or after not in leading:
                    continue
                way = after, self._after(handler, done)
                if way not in seen:
                    seen.add(way)
                    ways.append(way)
                if after in self.process.undone:
                    self._check_end(after, way[1])
        yield from self.told

    def _leading(self) -> set[Step]:
        """The steps from which nothing may be left of what was done, one day."""
        leading: set[Step] = {*self.process.undone}
        while more := {b for _, b, after in self.edges if after in leading} - leading:
            leading |= more
        return leading

    def _after(self, handler: Handler, done: _Done) -> _Done:
        """What is done once a handler has run: one more, or fewer, the last first."""
        given = handler.input
        if _undo(given) is not None and given not in done:
            done = (*done, given)
        elif not given.undone_by and (maker := self._effect(given)) is not None:
            self._tell(
                f"{given.where}: {given.name} tells of an effect ({maker.title}), "
                f"and nothing undoes it on the way to {self._ends}; write undone_by=<the event "
                "that does>, or undone_by='why there is nothing to undo'."
            )
        published = {*handler.returns}
        while done and _undo(done[-1]) in published:
            done = done[:-1]
        for each in done:
            if _undo(each) in published:
                self._tell(
                    f"{handler.where}: {handler.name} undoes {each.name} before {done[-1].name}, "
                    f"which came later; undo the last first, with "
                    f"{getattr(_undo(done[-1]), 'name', '')}."
                )
        return done

    def _effect(self, given: EventSpec) -> Handler | None:
        """The handler that did something in the world and tells of it, unless that is undoing."""
        undoing = {_undo(each) for each in self.topology.events}
        for handler in self.topology.handlers:
            does = handler.is_async or handler.threads
            if does and given in handler.outputs and handler.input not in undoing:
                return handler
        return None

    def _check_end(self, end: Step, done: _Done) -> None:
        if not done:
            return
        names = ", ".join(each.name for each in reversed(done))
        undo = getattr(_undo(done[-1]), "name", "")
        self._tell(
            f"{self.spec.where}: a way leads to the end {end!r} of {self.spec.title} on which "
            f"{names} is not undone; have a handler on it return {undo}."
        )

    @property
    def _ends(self) -> str:
        return f"{', '.join(map(repr, self.process.undone))} of {self.spec.title}"

    def _tell(self, sentence: str) -> None:
        self.told[sentence] = None


def _undo(spec: EventSpec) -> EventSpec | None:
    """The event that undoes another one."""
    return None if isinstance(spec.undone_by, str) else spec_of(spec.undone_by)
