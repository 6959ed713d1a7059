"""Events that are to come later: can the new code publish and read them when their time comes?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from jetmesh.declare import EventSpec, Handler, StateSpec, Topology
from jetmesh.operate.candeploy.tally import Failure, Meeting, Tally
from jetmesh.operate.deadlines.stored import ToCome, to_come_in
from jetmesh.operate.evolution.released import Released


class WaitingEvents(Struct):
    """Those of one event, and one place."""

    place: str
    """Who asked for them and publishes them, `billing.wait`; or the state that keeps them."""
    subject: str
    waiting: int
    unreadable: int
    """Of these: what nobody could read, or publishes any more."""
    readers: list[Meeting]
    failures: list[Failure]

    @property
    def newer(self) -> int:
        """Of what cannot be read: it waits for newer code."""
        return max((each.waits for each in self.readers), default=0)

    @property
    def lost(self) -> int:
        """What would become a dead letter, or come no more."""
        return self.unreadable - self.newer


class Expected(NamedTuple):
    """What the new code has for an event that is to come."""

    place: str
    spec: EventSpec | None
    """None: nobody declares that it comes later."""
    problem: str
    """Why that is so, in words."""
    readers: tuple[tuple[str, bool], ...] = ()
    """Who meets it, by name, and whether that is a handler."""


_KEEP: Final = "; keep it until none of them waits"
Expect: TypeAlias = Callable[[ToCome], Expected]


class Waiting:
    """Counts what is to come, of one stream."""

    def __init__(
        self, stream: str, expect: Expect, released: Released, *, newest_alone: bool
    ) -> None:
        self._stream = stream
        self._expect = expect
        self._released = released
        self._newest: dict[bytes, tuple[int, list[ToCome]]] | None = {} if newest_alone else None
        """By subject, where what is stored before the newest of a key counts no more."""
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._undeclared: dict[tuple[str, str], Failure] = {}

    def take(self, sequence: int, subject: bytes, headers: bytes, payload: bytes) -> None:
        """Count what a message says that is to come."""
        found = to_come_in(subject, headers, payload)
        if self._newest is None:
            self._count(sequence, found)
        elif found:
            self._newest[subject] = sequence, found
        else:
            self._newest.pop(subject, None)

    def events(self) -> Iterator[WaitingEvents]:
        """What was counted."""
        for sequence, found in (self._newest or {}).values():
            self._count(sequence, found)
        for (place, subject), tally in self._tallies.items():
            kept = tally.result()
            about = place, subject, kept.stored, kept.stored - kept.decode
            yield WaitingEvents(*about, readers=kept.readers, failures=kept.failures)
        for (place, subject), failure in self._undeclared.items():
            about = place, subject, failure.count, failure.count
            yield WaitingEvents(*about, readers=[], failures=[failure])

    def _count(self, sequence: int, found: Iterable[ToCome]) -> None:
        for each in found:
            expected = self._expect(each)
            about = expected.place, each.event
            if expected.spec is None:
                first = Failure(expected.problem, f"{self._stream}:{sequence}")
                self._undeclared.setdefault(about, first).count += 1
            else:
                self._tally(about, expected.spec, expected).take(
                    sequence, each.headers, each.payload
                )

    def _tally(self, about: tuple[str, str], spec: EventSpec, expected: Expected) -> Tally:
        known = self._tallies.get(about)
        if known is None:
            readers = [Meeting(name, 1, is_handler=is_one) for name, is_one in expected.readers]
            known = Tally(spec, self._stream, readers, self._released.of_event(spec.subject))
            self._tallies[about] = known
        return known


def on_lanes(handlers: list[Handler]) -> Expect:
    """Of handlers without a state: whoever asked for an event reads and publishes it."""
    by_name = {each.name: each for each in handlers}

    def expect(found: ToCome) -> Expected:
        place = f"{handlers[0].service}.{found.handler}"
        handler = by_name.get(found.handler)
        if handler is None:
            return Expected(place, None, f"{place} is declared no more{_KEEP}")
        spec = _of(handler.deadlines.later, found.event)
        problem = f"{place} names no Later of it any more{_KEEP}"
        return Expected(place, spec, problem, ((place, True),))

    return expect


def in_state(topology: Topology, state: StateSpec) -> Expect:
    """Of handlers with one: it is published as it is kept, and its readers read it."""
    keeping = [h for h in topology.handlers if h.remembers and h.remembers.state == state]
    later = {spec: None for handler in keeping for spec in handler.deadlines.later}
    problem = f"no handler that remembers {state.title} names a Later of it any more{_KEEP}"

    def expect(found: ToCome) -> Expected:
        spec = _of(later, found.event)
        readers = tuple(_readers(topology, spec)) if spec else ()
        return Expected(state.title, spec, problem, readers)

    return expect


def _readers(topology: Topology, spec: EventSpec) -> Iterator[tuple[str, bool]]:
    for handler in topology.handlers:
        if handler.input == spec:
            yield handler.title, True
    for service in topology.services:
        if any(spec in model.events for model in service.read_models):
            yield service.name, False


def _of(several: Iterable[EventSpec], subject: str) -> EventSpec | None:
    return next((each for each in several if each.subject == subject), None)
