"""Contradictions in the steps of a process, as `check` finds those of events (ADR-0037)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jetmesh.declare.event import EventSpec
from jetmesh.declare.handler import Handler
from jetmesh.declare.process import Moves, Process, Step
from jetmesh.declare.state import StateSpec
from jetmesh.declare.topology import Topology


def problems(topology: Topology) -> Iterator[str]:
    """What cannot work, each as one sentence."""
    for spec, process in processes_of(topology):
        handlers = takers(topology, spec)
        if handlers:  # else its service is not among those that are looked at
            yield from _begun(spec, process, handlers)
            yield from _left(spec, process, handlers)
            yield from _timed(spec, process, handlers)


def processes_of(topology: Topology) -> list[tuple[StateSpec, Process]]:
    """Every state that has steps, and its steps."""
    states = [spec for spec in topology.events if isinstance(spec, StateSpec)]
    return [(spec, spec.process) for spec in states if spec.process is not None]


def takers(topology: Topology, spec: StateSpec) -> list[tuple[Handler, Moves]]:
    """The handlers that move a process, with their moves."""
    return [
        (handler, handler.remembers.moves)
        for handler in topology.handlers
        if handler.remembers and handler.remembers.state == spec and handler.remembers.moves
    ]


_Handlers = Sequence[tuple[Handler, Moves]]


def _begun(spec: StateSpec, process: Process, handlers: _Handlers) -> Iterator[str]:
    """Steps that nothing leads to."""
    reached = _reached({None}, handlers)
    if reached == {None}:
        yield (
            f"{spec.where}: no handler begins the process {spec.title}; give one a move from None, "
            "where nothing is known yet: moves={None: …}."
        )
        return
    reached = _reached({None, *process.former}, handlers)
    for step in process.steps:
        if step not in reached:
            yield (
                f"{spec.where}: nothing leads to the step {step!r} of {spec.title}; have a handler "
                "move there, remove it, or say former=… when processes of before still leave it."
            )


def _reached(begins: set[Step], handlers: _Handlers) -> set[Step]:
    reached: set[Step] = set()
    while begins - reached:
        reached |= begins
        begins = {after for _, before, after in edges(handlers) if before in reached}
    return reached


def _left(spec: StateSpec, process: Process, handlers: _Handlers) -> Iterator[str]:
    """Steps that nothing leaves, though they are no ends."""
    left = {before for _, before, after in edges(handlers) if after != before}
    for step in process.steps:
        if step not in left and not process.is_end(step):
            yield (
                f"{spec.where}: nothing leaves the step {step!r} of {spec.title}, so a process "
                "would stay there for ever; have a handler move from it, or say ends=…."
            )


def _timed(spec: StateSpec, process: Process, handlers: _Handlers) -> Iterator[str]:
    """Steps that wait for what may never come, and nothing wakes them."""
    waiting = _pending(process, handlers)
    for step in process.steps:
        if process.is_end(step) or step in process.forever or step in process.former:
            continue
        expected = {handler.input for handler, moves in handlers if step in moves.of}
        if not expected or step not in waiting or expected & waiting[step]:
            continue
        names = ", ".join(sorted(each.name for each in expected))
        ways = ", ".join(
            dict.fromkeys(
                handler.name
                for handler, before, after in edges(handlers)
                if after == step and not expected & _after(handler, waiting.get(before, set()))
            )
        )
        yield (
            f"{spec.where}: the step {step!r} of {spec.title} waits for {names} without a "
            f"deadline when {ways} leads there; return Later[…] there of an event that leads on "
            f"from it, or say forever={{{step!r}: …}} with the reason."
        )


def _pending(process: Process, handlers: _Handlers) -> dict[Step, set[EventSpec]]:
    """Of each step that is reached: the deadlines that were set, whichever way led there."""
    begins = {None, *process.former}
    found: dict[Step, set[EventSpec]] = {step: set() for step in begins}
    changed = True
    while changed:
        changed = False
        for handler, before, after in edges(handlers):
            if before not in found or after in begins:
                continue
            set_there = _after(handler, found[before])
            kept = found[after] & set_there if after in found else set_there
            if found.get(after) != kept:
                found[after], changed = kept, True
    return found


def _after(handler: Handler, before: set[EventSpec]) -> set[EventSpec]:
    """The deadlines that wait once a handler has run: one that came is none any more."""
    return before - {handler.input, *handler.deadlines.cancels} | {*handler.deadlines.later}


def edges(handlers: _Handlers) -> Iterator[tuple[Handler, Step, Step]]:
    """Every move, by its handler."""
    for handler, moves in handlers:
        for before, to in moves.of.items():
            for after in to:
                yield handler, before, after
