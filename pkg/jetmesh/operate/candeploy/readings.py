"""What is to be read of a running broker: which messages which declared reader will meet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from jetmesh.declare import EventSpec, Handler, StateSpec, Topology
from jetmesh.operate.candeploy.deadlines import Waiting, in_state, on_lanes
from jetmesh.operate.candeploy.letters import LetterTally
from jetmesh.operate.candeploy.processes import ProcessTally
from jetmesh.operate.candeploy.tally import Meeting, Tally
from jetmesh.operate.deadletters.letter import LetterError, Selector
from jetmesh.operate.deadletters.store import settled
from jetmesh.operate.deadlines.stored import is_alarm
from jetmesh.operate.evolution.released import Released
from jetmesh.protocol.streams import DEADLETTERS, lane_stream
from jetmesh.protocol.subjects import QUARANTINE, RETRY, address_of
from jetmesh.transport.bulk import Take
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import if_exists


@dataclass(frozen=True, slots=True)
class Reading:
    """One stream, from one sequence to another, and what to do with each message."""

    stream: str
    first: int
    last: int
    take: Take
    tallies: list[Tally]
    letters: list[LetterTally] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    is_lane: bool = False

    @property
    def span(self) -> int:
        """How many messages there are at most."""
        return max(0, self.last - self.first + 1)


async def readings(control: ControlPlane, topology: Topology, released: Released) -> list[Reading]:
    """Everything that somebody declared will meet; streams that are not there hold nothing.

    Raises:
        BrokerError: the broker does not answer, or refuses.
    """
    found = [
        await _events(control, topology, stream, released)
        for stream in sorted({spec.stream for spec in topology.events})
    ]
    for handlers in [each.handlers for each in topology.services if each.handlers]:
        found += [await _lanes(control, topology, handlers, released)]
    found.append(await _letters(control, topology, released))
    return [each for each in found if each is not None]


async def _events(
    control: ControlPlane, topology: Topology, stream: str, released: Released
) -> Reading | None:
    info = await if_exists(control.api(f"STREAM.INFO.{stream}"))
    if info is None:
        return None
    config, state = info["config"], info["state"]
    floors = await _floors(control, stream)
    tallies: dict[bytes, Tally] = {}
    waiting = _kept(topology, stream, released, history=config["max_msgs_per_subject"])
    for spec, meetings in _meetings(topology, stream, floors).items():
        tallies[spec.subject.encode()] = _tally(spec, stream, meetings, released)

    def take(sequence: int, subject: bytes, headers: bytes, payload: bytes) -> None:
        tally = tallies.get(subject) or tallies.get(subject.rpartition(b".")[0])
        if tally is not None:
            tally.take(sequence, headers, payload)
        start = subject.rpartition(b".")[0]
        if start in waiting:
            waiting[start].take(sequence, subject, headers, payload)

    first = min((each.first for each in tallies.values()), default=state["last_seq"] + 1)
    reading = _reading(stream, state, take, first, list(tallies.values()))
    return replace(reading, waiting=list(waiting.values()))


async def _lanes(
    control: ControlPlane, topology: Topology, handlers: list[Handler], released: Released
) -> Reading | None:
    """What one service's handlers have on their lanes, due or waiting for its time."""
    stream = lane_stream(handlers[0].service)
    state = await _state(control, stream)
    if state is None:
        return None
    floors = await _floors(control, stream)
    tallies: dict[str, Tally] = {}
    for handler in handlers:
        meeting = Meeting(handler.title, 1, is_handler=True)
        releases = released.of_event(handler.input.subject)
        tallies[handler.name] = Tally(handler.input, stream, [meeting], releases)
    waiting = Waiting(stream, on_lanes(handlers), released, newest_alone=False)
    done = {each.name: floors.get(topology.lane_of(each).name, 0) for each in handlers}

    def take(sequence: int, subject: bytes, headers: bytes, payload: bytes) -> None:
        address = address_of(subject.decode(errors="replace"))
        handler = address.handler if address else ""
        waits = address is None or address.suffix == RETRY or sequence > done.get(handler, 0)
        if is_alarm(headers):
            if waits:
                waiting.take(sequence, subject, headers, payload)
        elif waits and address and address.suffix != QUARANTINE and handler in tallies:
            tallies[handler].take(sequence, headers, payload)

    reading = _reading(stream, state, take, 1, list(tallies.values()))
    return replace(reading, is_lane=True, waiting=[waiting])


async def _letters(control: ControlPlane, topology: Topology, released: Released) -> Reading | None:
    """The open dead letters of every declared handler."""
    state = await _state(control, DEADLETTERS)
    if state is None:
        return None
    try:
        closed, _ = await settled(control, Selector())
    except LetterError:  # it was deleted between two requests
        return None
    tallies = {(each.service, each.name): LetterTally(each, released) for each in topology.handlers}

    def take(sequence: int, subject: bytes, headers: bytes, payload: bytes) -> None:
        address = address_of(subject.decode(errors="replace"))
        if address is None or address.suffix or sequence in closed:
            return
        tally = tallies.get((address.service, address.handler))
        if tally is not None:
            tally.take(sequence, headers, payload)

    return replace(_reading(DEADLETTERS, state, take, 1, []), letters=list(tallies.values()))


def _kept(
    topology: Topology, stream: str, released: Released, *, history: int
) -> dict[bytes, Waiting]:
    """What waits in the states of a stream, by their subject without the key."""
    return {
        spec.subject.encode(): Waiting(
            stream, in_state(topology, spec), released, newest_alone=history != 1
        )
        for spec in topology.events
        if isinstance(spec, StateSpec) and spec.stream == stream
    }


def _tally(spec: EventSpec, stream: str, meetings: list[Meeting], released: Released) -> Tally:
    releases = released.of_event(spec.subject)
    if isinstance(spec, StateSpec) and spec.process is not None:
        return ProcessTally(spec, spec.process, stream, meetings, releases)
    return Tally(spec, stream, meetings, releases)


def _reading(
    stream: str, state: Mapping[str, Any], take: Take, first: int, tallies: list[Tally]
) -> Reading:
    first = max(first, state["first_seq"])
    return Reading(stream, first, state["last_seq"], take, tallies)


def _meetings(
    topology: Topology, stream: str, floors: Mapping[str, int]
) -> dict[EventSpec, list[Meeting]]:
    """Who will meet which event, from where on."""
    found: defaultdict[EventSpec, list[Meeting]] = defaultdict(list)
    several = _handlers(topology, stream, floors), _models(topology, stream)
    for spec, meeting in (*chain(*several), *_states(topology, stream)):
        found[spec].append(meeting)
    return found


def _handlers(
    topology: Topology, stream: str, floors: Mapping[str, int]
) -> Iterator[tuple[EventSpec, Meeting]]:
    for each in topology.handlers:
        if each.input.stream != stream:
            continue
        floor = floors.get(each.durable, 0 if each.start == "all" else None)
        if floor is not None:  # else it is new, and begins behind everything
            yield each.input, Meeting(each.title, floor + 1, is_handler=True)


def _models(topology: Topology, stream: str) -> Iterator[tuple[EventSpec, Meeting]]:
    for service in topology.services:
        specs = dict.fromkeys(spec for model in service.read_models for spec in model.events)
        for spec in specs:
            if spec.stream == stream:
                yield spec, Meeting(service.name, 1, is_handler=False)


def _states(topology: Topology, stream: str) -> Iterator[tuple[EventSpec, Meeting]]:
    """Whoever remembers something reads the newest of each key."""
    for each in topology.handlers:
        if each.remembers and each.remembers.state.stream == stream:
            yield each.remembers.state, Meeting(each.title, 1, is_handler=True)


async def _state(control: ControlPlane, stream: str) -> dict[str, Any] | None:
    info = await if_exists(control.api(f"STREAM.INFO.{stream}"))
    return info["state"] if info else None


async def _floors(control: ControlPlane, stream: str) -> dict[str, int]:
    """Up to where each durable has its verdicts."""
    consumers = await control.consumers(stream)
    return {each["name"]: each["ack_floor"]["stream_seq"] for each in consumers}
