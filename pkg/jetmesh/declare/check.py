"""Contradictions between declarations, each as one sentence that names the line to change."""

from __future__ import annotations

import inspect
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from jetmesh.declare import check_deadlines, check_processes, check_states, check_undoing
from jetmesh.declare.duration import Duration
from jetmesh.declare.event import EventSpec, matches
from jetmesh.declare.handler import Handler
from jetmesh.declare.losing import Lost
from jetmesh.declare.policy import problems_of
from jetmesh.declare.publishing import Publishing
from jetmesh.declare.recalling import History
from jetmesh.declare.rehearsing import Rehearsed
from jetmesh.declare.service import Service
from jetmesh.declare.setting import spelled
from jetmesh.declare.supplied import Resource, Web
from jetmesh.declare.topology import StreamTuning, Topology
from jetmesh.declare.versions import missing_versions
from jetmesh.errors import TopologyError
from jetmesh.protocol.streams import LANES, OWN_STREAMS, is_cursor_stream, is_lane_stream

_SHORTEST_WINDOW: Final = Duration(0.1)
"""Of duplicates; the server reads 0 as its own default."""
_User: TypeAlias = Handler | Lost | Resource | Web
"""Has parameters that are supplied by their type."""


def check(topology: Topology, tunings: Mapping[str, StreamTuning], *, alone: bool = False) -> None:
    """Refuse a topology that cannot work; `alone`, a service knows nothing of the others.

    Raises:
        TopologyError: with every problem found.
    """
    problems = [
        *_names(topology),
        *_slots(topology),
        *_subjects(topology),
        *_domains(topology),
        *_owners(topology),
        *_let_in(topology),
        *_decisions(topology),
        *_versions(topology),
        *_replacements(topology),
        *_lost(topology),
        *check_states.problems(topology),
        *check_processes.problems(topology),
        *check_undoing.problems(topology),
        *check_deadlines.problems(topology),
        *_ordered(topology, alone=alone),
        *_cycles(topology),
        *_needs(topology),
        *_doubles(topology),
        *_policies(topology),
        *_tunings(topology, tunings),
    ]
    if problems:
        raise TopologyError(problems)


def _names(topology: Topology) -> Iterator[str]:
    counts = Counter(service.name for service in topology.services)
    for service in topology.services:
        if counts[service.name] > 1:
            yield f"{service.where}: {counts[service.name]} services are named {service.name!r}."
        for other in topology.services:
            if other.name != service.name and spelled(other.name) == spelled(service.name):
                yield (
                    f"{service.where}: {service.name!r} and {other.name!r} would be set by the "
                    "same variables; rename one."
                )
    durables = Counter((d.stream, d.name) for d in topology.durables)
    durables.update((slot.stream, slot.name) for slot in topology.slots)
    for handler in topology.handlers:
        if durables[handler.input.stream, handler.durable] > 1 and counts[handler.service] == 1:
            yield (
                f"{handler.where}: another handler's durable, or a read model's slot, on "
                f"{handler.input.stream} is also named {handler.durable!r}; rename this one."
            )


def _slots(topology: Topology) -> Iterator[str]:
    """A name for two on the same stream, or, as slots are granted by name, for two services."""
    names = Counter((each.stream, each.name) for each in topology.durables)
    names.update((slot.stream, slot.name) for slot in topology.slots)
    owners: dict[str, set[str]] = defaultdict(set)
    for handler in topology.handlers:
        owners[handler.durable].add(handler.service)
    for slot in topology.slots:
        owners[slot.name].add(slot.reader.partition(".")[0])
    shared = {
        slot.reader: slot.name
        for slot in reversed(topology.slots)
        if names[slot.stream, slot.name] > 1 or len(owners[slot.name]) > 1
    }
    for reader, name in shared.items():
        yield (
            f"{reader}: another read model or handler has the name of its slot {name!r}; "
            "rename one."
        )


def _subjects(topology: Topology) -> Iterator[str]:
    for spec in topology.events:
        is_own = is_lane_stream(spec.stream) or is_cursor_stream(spec.stream)
        if spec.stream in OWN_STREAMS or is_own:
            yield f"{spec.where}: the domain of {spec.subject!r} belongs to the mesh; use another."
        for other in topology.events:
            if spec is not other and spec.subject == other.subject:
                yield (
                    f"{spec.where}: {spec.name} has the subject {spec.subject!r}, "
                    f"which {other.name} ({other.where}) has too."
                )
            elif other.key and matches(f"{other.subject}.*", spec.subject):
                yield (
                    f"{spec.where}: {spec.subject!r} reads like {other.subject!r} "
                    f"with a key; rename one."
                )


def _domains(topology: Topology) -> Iterator[str]:
    """A stream takes one domain; events of another in it would be stored nowhere."""
    for spec in topology.events:
        domain = spec.subject.partition(".")[0]
        for stream in topology.streams:
            taken = stream.subjects[0].partition(".")[0]
            if stream.name == spec.stream and taken != domain:
                yield (
                    f"{spec.where}: the domain {domain!r} would share the stream {stream.name} "
                    f"with {taken!r}; write both alike."
                )


def _owners(topology: Topology) -> Iterator[str]:
    for spec in topology.events:
        publishers = [h for h in topology.handlers if spec in h.outputs]
        if len({h.service for h in publishers}) > 1:
            for handler in publishers:
                others = sorted({h.service for h in publishers} - {handler.service})
                yield (
                    f"{handler.where}: {handler.service} publishes {spec.subject!r}, which "
                    f"{', '.join(others)} publishes too; an event must have a single owner."
                )


def _let_in(topology: Topology) -> Iterator[str]:
    for service in topology.services:
        for spec in service.published:
            owner = topology.owners.get(spec)
            if owner:
                yield (
                    f"{service.where}: {service.name} lets {spec.subject!r} in from outside, but "
                    f"it is made here, by {owner}; an event must have a single owner."
                )


def _decisions(topology: Topology) -> Iterator[str]:
    """One canonical filter per decision, every writer guarded: else two outcomes can be stored."""
    for spec in topology.events:
        for other in topology.events:
            if spec.decision is None:
                continue
            if other.key is None and matches(f"{spec.decision}.*", other.subject):
                yield (
                    f"{other.where}: {other.subject!r} reads like an outcome of the decision "
                    f"{spec.decision!r} of {spec.name} ({spec.where}) with a key; rename it."
                )
            if not matches(spec.decision, other.subject):
                continue
            if other.decision != spec.decision:
                yield (
                    f"{other.where}: {other.subject!r} is matched by the decision "
                    f"{spec.decision!r} of {spec.name} ({spec.where}) but does not take part in "
                    f"it; {_ways_out(spec)}"
                )
            elif other.race != spec.race and spec.race:
                yield (
                    f"{other.where}: {other.name} says nothing of a race, but {spec.name} "
                    f"({spec.where}) does, of the same decision {spec.decision!r}; write race=True "
                    "with both, or with none."
                )
            elif topology.owners.get(spec, "") < topology.owners.get(other, ""):
                yield (
                    f"{spec.where}: {topology.owners.get(spec, 'nobody here')} publishes "
                    f"{spec.subject!r}, but its decision {spec.decision!r} also matches "
                    f"{other.subject!r} of {topology.owners[other]}; one service makes a decision."
                )


def _versions(topology: Topology) -> Iterator[str]:
    """Every version that may still be stored can be read."""
    for spec in topology.events:
        for version in missing_versions(spec):
            yield (
                f"{spec.where}: version {version} of {spec.subject!r} cannot be read, because "
                f"nothing makes version {version + 1} of it; add @upcasts({version}, {spec.name}), "
                f"and import its module, or oldest={version + 1} if no stream holds it any more."
            )


def _replacements(topology: Topology) -> Iterator[str]:
    """Whoever makes an event that gives way to another publishes both."""
    followers = {handler.function for handler in topology.handlers}
    for spec in topology.events:
        for each in spec.replacements:
            if spec in topology.owners and each.function not in followers:
                yield (
                    f"{each.where}: {each.subject!r} takes the place of {spec.subject!r}, but "
                    f"{topology.owners[spec]} does not publish it, because it was declared before; "
                    "import this module first."
                )


def _ways_out(spec: EventSpec) -> str:
    """What to change where a decision matches an event that decides nothing."""
    start, _, last = spec.subject.rpartition(".")
    if "." in start:  # the decision has a token of its own
        return f"add decision={spec.decision!r}, or give it a subject outside {start!r}."
    return (
        f"add decision={spec.decision!r} if it is an outcome too. If it is none, give the decision "
        f"a token of its own: subject '{start}.verdict.{last}', decision '{start}.verdict.*', and "
        "the like for its other events (what is stored under the old subjects stays there)."
    )


def _lost(topology: Topology) -> Iterator[str]:
    """Whoever reacts to losing can read whatever may have won."""
    for handler in topology.handlers:
        if handler.lost is None:
            continue
        decisions = {spec.decision for spec in handler.returns if spec.decision}
        for spec in topology.events:
            if spec.decision in decisions and spec not in handler.lost.stored:
                yield (
                    f"{handler.lost.where}: {handler.lost.name} cannot take {spec.name}, but that "
                    f"may be what decided {spec.decision!r}; add it to the annotation of the "
                    "second parameter."
                )


def _ordered(topology: Topology, *, alone: bool) -> Iterator[str]:
    """In which order others publish from outside is nobody's word, so there is none to keep."""
    for handler in topology.handlers:
        let_in = any(handler.input in service.published for service in topology.services)
        if handler.ordered and (let_in or (not alone and handler.input not in topology.owners)):
            yield (
                f"{handler.where}: {handler.name} is ordered, and {handler.input.subject!r} comes "
                "from outside, where nobody says in which order; handle what a handler here makes "
                "of it, or leave out ordered=True."
            )


def _cycles(topology: Topology) -> Iterator[str]:
    for handler in topology.handlers:
        path = _way_back(topology, handler)
        if path and not any(h.cycle for h in path):
            steps = " → ".join(f"{h.input.subject} → {h.title}" for h in path)
            yield (
                f"{handler.where}: its outputs lead back to its input ({steps}); "
                "pass cycle=True to one of the handlers if that is meant."
            )


def _way_back(topology: Topology, start: Handler) -> list[Handler]:
    """The shortest chain of handlers by which an output of `start` becomes its input."""
    queue, seen = [[start]], {id(start)}  # not its line: one line may declare several
    while queue:
        path = queue.pop(0)
        if start.input in path[-1].outputs:
            return path
        for following in topology.handlers:
            if following.input in path[-1].outputs and id(following) not in seen:
                seen.add(id(following))
                queue.append([*path, following])
    return []


def _needs(topology: Topology) -> Iterator[str]:
    for service in topology.services:
        types = Counter(r.type for r in service.resources)
        for resource in service.resources:
            if types[resource.type] > 1:
                yield (
                    f"{resource.where}: {service.name} has several resources of the type "
                    f"{resource.type.__name__}; parameters are supplied by type, so wrap one."
                )
            if resource.type in resource.needs.values():
                yield f"{resource.where}: the resource needs what it supplies itself."
        supplied = {r.type for r in service.resources} | {m.type for m in service.read_models}
        supplied |= {service.settings} if service.settings else set()
        supplied |= {History} if service.read_models else set()
        users: list[_User] = [*service.handlers, *service.resources, *service.pages]
        users += [handler.lost for handler in service.handlers if handler.lost]
        for user in users:
            for name, kind in user.needs.items():
                if inspect.isclass(kind) and issubclass(kind, Publishing):
                    yield from _publisher(service, user)
                elif kind not in supplied:
                    yield (
                        f"{user.where}: parameter {name!r} asks for "
                        f"{getattr(kind, '__name__', kind)}, which {service.name} does not supply; "
                        "declare a resource, a read model or settings of that type."
                    )


def _doubles(topology: Topology) -> Iterator[str]:
    for service in topology.services:
        types = Counter(double.type for double in service.doubles)
        doubled = {r.type for r in service.resources} | {m.type for m in service.read_models}
        doubled |= {History} if service.read_models else set()
        for double in service.doubles:
            name = getattr(double.type, "__name__", double.type)
            if double.type not in doubled:
                yield (
                    f"{double.where}: it stands in for {name}, which is no resource or read model "
                    f"of {service.name}; return exactly what one of them supplies."
                )
            if types[double.type] > 1:
                yield f"{double.where}: {service.name} has several doubles of {name}; keep one."
            for parameter, kind in double.needs.items():
                if kind not in (Rehearsed, service.settings):
                    yield (
                        f"{double.where}: parameter {parameter!r} of a double must be Rehearsed or "
                        "the service's settings."
                    )


def _publisher(service: Service, user: _User) -> Iterator[str]:
    if isinstance(user, Handler | Lost):
        yield f"{user.where}: a handler asks for a Publisher; return what it publishes instead."
    elif not service.published:
        yield (
            f"{user.where}: it asks for a Publisher, but {service.name} lets no event in from "
            "outside; write service.publishes(…) with the events."
        )


def _policies(topology: Topology) -> Iterator[str]:
    for handler in topology.handlers:
        for problem in problems_of(topology.durable_of(handler).policy):
            yield f"{handler.where}: {handler.title}: {problem}."


def _tunings(topology: Topology, tunings: Mapping[str, StreamTuning]) -> Iterator[str]:
    names = {stream.section for stream in topology.streams} | {*OWN_STREAMS}
    for name, tuning in tunings.items():
        if name not in names:
            yield f"settings: streams.{name} is not a stream; there are {', '.join(sorted(names))}."
        if name == LANES and (tuning.max_age or tuning.max_bytes >= 0):
            yield (
                "settings: streams.LANES cannot have a max_age or max_bytes: what waits there for "
                "its next attempt, or for its time, would be forgotten."
            )
        if tuning.duplicate_window < _SHORTEST_WINDOW:
            yield (
                f"settings: streams.{name}.duplicate_window {tuning.duplicate_window} is below "
                f"{_SHORTEST_WINDOW}, the least that the server takes."
            )
        if tuning.max_bytes == 0:
            yield (
                f"settings: streams.{name}.max_bytes is 0, which the server reads as no limit; "
                "write -1."
            )
        if 0 < tuning.max_age < tuning.duplicate_window:
            yield (
                f"settings: streams.{name}.max_age {tuning.max_age} is below its "
                f"duplicate_window {tuning.duplicate_window}, which the server refuses."
            )
