"""How a process goes: the steps of a state, and which event of which handler leads where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jetmesh.declare import EventSpec, Handler, StateSpec, Topology
from jetmesh.declare.check_processes import processes_of, takers
from jetmesh.declare.process import Process, Step
from jetmesh.errors import UsageError
from jetmesh.operate.graph import escaped


@dataclass(frozen=True, slots=True)
class Move:
    """One way from a step to another."""

    before: Step
    event: EventSpec
    after: Step
    handler: Handler
    is_deadline: bool
    """Nobody has to do anything: its time comes."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One process, as a topology declares it."""

    spec: StateSpec
    process: Process
    moves: tuple[Move, ...]

    def expected(self, step: Step) -> tuple[str, ...]:
        """The subjects of the events that lead on from a step."""
        return tuple(
            dict.fromkeys(
                each.event.subject
                for each in self.moves
                if each.before == step and each.after != step
            )
        )

    def next(self, step: Step) -> tuple[Step, ...]:
        """Where a process may go from a step."""
        return tuple(dict.fromkeys(each.after for each in self.moves if each.before == step))

    def remaining(self, step: Step) -> tuple[str, ...]:
        """The steps that may still come, in the order in which they are declared."""
        found: set[Step] = set()
        new = {*self.next(step)}
        while new - found:
            found |= new
            new = {after for each in new for after in self.next(each)}
        return tuple(each for each in self.process.steps if each in found and each != step)


def flows(topology: Topology) -> list[Flow]:
    """Every process that somebody here moves, by the name of its state."""
    found = []
    for spec, process in processes_of(topology):
        handlers = takers(topology, spec)
        later = {event for handler, _ in handlers for event in handler.deadlines.later}
        moves = tuple(
            Move(before, handler.input, after, handler, handler.input in later)
            for handler, each in handlers
            for before, to in each.of.items()
            for after in to
        )
        if moves:
            found.append(Flow(spec, process, moves))
    return sorted(found, key=lambda flow: flow.spec.title)


def chosen(topology: Topology, name: str) -> list[Flow]:
    """The process of this name; all, when none is named.

    Raises:
        UsageError: there is none of this name.
    """
    found = flows(topology)
    wanted = [flow for flow in found if name in ("", flow.spec.title)]
    if name and not wanted:
        names = ", ".join(flow.spec.title for flow in found)
        raise UsageError(
            f"There is no process {name!r}.",
            remedy=f"There are {names}." if names else "No state has steps: @state(…, steps=…).",
        )
    return wanted


def drawn(flow: Flow) -> Iterator[str]:
    """The process as a Mermaid state diagram; what comes by itself is marked as a deadline."""
    names: dict[Step, str] = {step: f"step{n}" for n, step in enumerate(flow.process.steps)}
    yield "stateDiagram-v2"
    for step in flow.process.steps:
        yield f"    {names[step]} : {escaped(step)}"
    for each in flow.moves:
        how = " (deadline)" if each.is_deadline else ""
        before, after = names.get(each.before, "[*]"), names.get(each.after, "[*]")
        yield f"    {before} --> {after} : {each.event.subject}{how}"
    for step in flow.process.steps:
        if flow.process.is_end(step):
            yield f"    {names[step]} --> [*]"
