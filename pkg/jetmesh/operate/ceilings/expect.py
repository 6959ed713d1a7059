"""What people expect a mesh to carry, as the command line says it, and what follows from that.

A rate is given for some events; what handlers make of them follows from the declarations. An
outcome is counted as often as its cause, and all outcomes of a decision together no more often: who
knows how they are shared out gives a rate for each. A state is replaced as often as its handlers
are called, at most, and holds no more than its versions of each key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jetmesh.declare import Duration, EventSpec, StateSpec, Topology
from jetmesh.declare.handler import Handler
from jetmesh.errors import SettingsError, UsageError
from jetmesh.operate.ceilings import quantity
from jetmesh.operate.ceilings.figures import MESSAGE_BYTES
from jetmesh.operate.ceilings.load import Load, StreamLoad

KEYS, BYTES = "keys", "bytes"


@dataclass(frozen=True, slots=True)
class Expected:
    """What was said, in units of a second."""

    rates: Mapping[EventSpec, float] = field(default_factory=dict)
    latencies: Mapping[str, float] = field(default_factory=dict)
    """By `service.handler`."""
    keys: float = 0.0
    """New ones in a second; 0 where that was not said."""
    bytes: float = MESSAGE_BYTES
    """Of one event."""
    pods: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[EventSpec, float] = field(default_factory=dict)
    """New keys of a state in a second, where that was said."""


def expected(topology: Topology, expect: Sequence[str], pods: Sequence[str]) -> Expected:
    """What `--expect` and `--pods` say.

    Raises:
        UsageError: something is not declared, said twice, or no quantity.
    """
    given = dict(_pairs("--expect", expect, "purchases.created=2000/s"))
    handlers = {h.title for h in topology.handlers}
    events = {spec.subject: spec for spec in topology.events}
    states = {spec.title: spec for spec in topology.events if isinstance(spec, StateSpec)}
    rates: dict[EventSpec, float] = {}
    fresh: dict[EventSpec, float] = {}
    latencies: dict[str, float] = {}
    keys, size = 0.0, float(MESSAGE_BYTES)
    for name, text in given.items():
        what = f"--expect {name}"
        if name == KEYS:
            keys = quantity.rate(text, what)
        elif name == BYTES:
            size = quantity.size(text, what)
        elif name in handlers and "/" not in text:
            latencies[name] = _duration(text, what)
        elif name in states:
            fresh[states[name]] = quantity.rate(text, what)
        elif name in events:
            rates[events[name]] = quantity.rate(text, what)
        elif name in handlers:
            raise UsageError(
                f"{what}: how often {name} is called follows from the rates of events.",
                remedy=f"Say how long one call takes: {name}=200ms.",
            )
        else:
            raise _undeclared(what, name, [*events, *handlers, *states, KEYS, BYTES])
    return Expected(rates, latencies, keys, size, _pods(topology, pods), fresh)


def load_of(topology: Topology, said: Expected) -> Load:
    """What every stream and handler has to carry."""
    flows = Flows(topology, said.rates)
    streams: dict[str, StreamLoad] = {}
    for spec in topology.streams:
        events = [each for each in topology.events if each.stream == spec.name]
        rate = flows.together(events)
        if state := next((each for each in events if isinstance(each, StateSpec)), None):
            fresh = said.states.get(state, said.keys or rate)
            grown = fresh * state.history * said.bytes
            streams[spec.name] = StreamLoad(rate=rate, keys_rate=fresh, bytes_rate=grown)
            continue
        if not (events and rate) and not (events and said.keys):
            continue
        keyed = [each for each in events if each.key]
        fresh = said.keys * _subjects(keyed) if said.keys else flows.together(keyed)
        streams[spec.name] = StreamLoad(rate=rate, keys_rate=fresh, bytes_rate=rate * said.bytes)
    handlers = {h.title: flows.of(h.input) for h in topology.handlers}
    return Load(streams, handlers, said.latencies, said.pods, "as expected")


class Flows:
    """How often each event is stored in a second, at most."""

    def __init__(self, topology: Topology, given: Mapping[EventSpec, float]) -> None:
        self._topology = topology
        self._given = given
        self._open: set[EventSpec] = set()
        """What is being found out: handlers may lead back to their input."""

    def of(self, event: EventSpec) -> float:
        """One event."""
        if event in self._given:
            return self._given[event]
        if event in self._open:
            return 0.0
        self._open.add(event)
        try:
            return self._inputs(h for h in self._topology.handlers if _stores(h, event))
        finally:
            self._open.discard(event)

    def together(self, events: Iterable[EventSpec]) -> float:
        """Several events, of which those of one decision exclude one another."""
        by_decision: dict[str, list[EventSpec]] = {}
        for each in events:
            by_decision.setdefault(each.decision or f"={each.subject}", []).append(each)
        return sum(self._group(group) for group in by_decision.values())

    def _group(self, events: Sequence[EventSpec]) -> float:
        added = sum(map(self.of, events))
        if len(events) == 1 or all(each in self._given for each in events):
            return added
        said = sum(self._given.get(each, 0.0) for each in events)
        makers = [h for h in self._topology.handlers if set(events) & set(h.outputs)]
        return max(said, min(added, self._inputs(makers)))

    def _inputs(self, makers: Iterable[Handler]) -> float:
        """How often these handlers are called, each outcome of a decision counted once."""
        inputs: dict[str, set[EventSpec]] = {}
        for handler in makers:
            group = handler.input.decision or f"={handler.input.subject}"
            inputs.setdefault(group, set()).add(handler.input)
        found = 0.0
        for group, several in inputs.items():
            added = sum(map(self.of, several))
            whole = [each for each in self._topology.events if each.decision == group]
            once = added if len(several) == 1 or not whole else min(added, self._capped(whole))
            found += once
        return found

    def _capped(self, events: Sequence[EventSpec]) -> float:
        if self._open & set(events):
            return sum(map(self.of, events))
        return self._group(events)


def _stores(handler: Handler, event: EventSpec) -> bool:
    """Whether a handler's calls lead to it: an output, or the state that it remembers."""
    if handler.remembers is not None and handler.remembers.state == event:
        return True
    return event in handler.outputs


def _subjects(keyed: Sequence[EventSpec]) -> int:
    """On how many subjects of a stream one key is at most."""
    return len({each.decision or each.subject for each in keyed})


def _pairs(option: str, given: Sequence[str], example: str) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for text in given:
        name, found, value = text.partition("=")
        if not (name and found and value):
            raise UsageError(
                f"{option} {text!r} says nothing.", remedy=f"Write {option} {example}."
            )
        if name in seen:
            raise UsageError(f"{option} {name} is said twice.", remedy="Say it once.")
        seen.add(name)
        yield name, value


def _pods(topology: Topology, given: Sequence[str]) -> dict[str, int]:
    names = [service.name for service in topology.services]
    found = {}
    for name, text in _pairs("--pods", given, "payments=300"):
        if name not in names:
            raise _undeclared(f"--pods {name}", name, names)
        found[name] = quantity.count(text, f"--pods {name}")
    return found


def _duration(text: str, what: str) -> float:
    try:
        seconds = Duration.parse(text)
    except SettingsError as error:
        raise UsageError(f"{what}: {error.message}", remedy=error.remedy) from None
    if seconds <= 0:
        raise UsageError(f"{what}: {text} is nothing.", remedy="Write what is above zero.")
    return float(seconds)


def _undeclared(what: str, name: str, known: Sequence[str]) -> UsageError:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    there = f"Did you mean {' or '.join(close)}?" if close else f"There are {', '.join(known)}."
    return UsageError(f"{what}: nothing of that name is declared.", remedy=there)
