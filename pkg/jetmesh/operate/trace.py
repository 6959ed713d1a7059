"""The story of one key, read from the streams alone: what caused what, when, and what it awaits.

An output's message id names its cause, so no tracing backend is needed. What a person typed
carries no key in its subject; it is found as the cause of what it led to, or among the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from jetmesh.declare import Handler, Topology, escape_key, matches
from jetmesh.operate.deadletters.letter import Letter, LetterError
from jetmesh.operate.deadlines.told import alarms_about, came_later, rings, to_come
from jetmesh.operate.heal import doubt
from jetmesh.operate.humanize import counted
from jetmesh.operate.order import place_in_line
from jetmesh.operate.processes.told import Told, told
from jetmesh.operate.summary import summary
from jetmesh.operate.taken import taken_in
from jetmesh.operate.typed import unhandled
from jetmesh.privacy.mask import masked, printable
from jetmesh.protocol import headers as header
from jetmesh.protocol.ids import cause_of, is_number
from jetmesh.protocol.lanes import Origin, scheduled_at
from jetmesh.protocol.streams import DEADLETTERS, LANES, REFUSALS, is_stream, lane_stream
from jetmesh.protocol.subjects import (
    SUBJECTS,
    address_of,
    deadletter_subject,
    lane_subject,
    old_subject,
    refusal_subject,
    retry_subject,
)
from jetmesh.protocol.times import is_same_time
from jetmesh.protocol.traces import trace_id_in
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage, if_exists

Kind = Literal["event", "removal", "refusal", "dead letter"]


@dataclass(frozen=True, slots=True)
class Step:
    """One stored message of the story."""

    id: str
    """`ORDERS:5`."""
    kind: Kind
    subject: str
    """Without the key."""
    cause: str
    """The id of the message that led to it; empty when it came from outside.

    With its time of storing behind it when another message stands there now.
    """
    by: str
    """`service.handler`; empty when it came from outside."""
    stored_ns: int
    """In nanoseconds since 1970: what names the message beside its sequence."""
    stored_at: datetime
    summary: str
    waits: tuple[str, ...] = ()
    """Who has not finished with it yet."""
    notes: tuple[str, ...] = ()
    """What is worth knowing, and nobody waits for."""
    trace: str = ""
    """The id of its OpenTelemetry trace; empty when it carries none."""

    @property
    def place(self) -> str:
        """Where its cause stands, or stood."""
        stream, colon, token = self.cause.rpartition(":")
        return stream + colon + token.partition("-")[0]

    def may_follow(self, stored_ns: int) -> bool:
        """Whether what was stored in the place of its cause at this time is its cause."""
        return is_same_time(int(self.cause.rpartition(":")[2].partition("-")[2] or 0), stored_ns)


async def trace(control: ControlPlane, topology: Topology, key: str) -> list[Step]:
    """Every step of the story of `key` in the order of time; empty when nothing is stored.

    Raises:
        ContractViolation: no event can have such a key.
        BrokerError: the broker does not answer.
    """
    token = escape_key(key)
    found = await _keyed(control, topology, token)
    steps = {step.id: step for step in (_step(topology, each) for each in found)}
    known = {stream.name for stream in topology.streams}
    for place in sorted({step.place for step in steps.values()} - {""} - set(steps)):
        stream, _, sequence = place.partition(":")
        message = await control.message(stream, int(sequence)) if stream in known else None
        followers = [step for step in steps.values() if step.place == place]
        if message is not None and any(s.may_follow(message.stored_ns) for s in followers):
            steps[place] = _step(topology, message)
    begun = {step.subject for step in steps.values() if not step.cause}
    for message in await unhandled(control, topology, key, begun):
        step = _step(topology, message)
        steps[step.id] = step
    linked = [_linked(step, steps) for step in steps.values()]
    ordered = sorted(linked, key=lambda step: step.stored_ns)
    alarms = await _in_lane_streams(control, [alarms_about(token)])
    coming = to_come((each for each in found if header.APPLIED in each.headers), alarms)
    waiting = await _with_waits(control, topology, ordered, token)
    said = told(topology, found)
    for place, text in coming:
        said[place].waits.append(text)
    return [_with_more(step, said[step.id]) if step.id in said else step for step in waiting]


def _with_more(step: Step, said: Told) -> Step:
    return replace(step, waits=(*step.waits, *said.waits), notes=(*step.notes, *said.notes))


def _linked(step: Step, steps: Mapping[str, Step]) -> Step:
    """The step with the id of its cause, unless another message took that id since."""
    found = steps.get(step.place)
    if found is not None and not step.may_follow(found.stored_ns):
        return step
    return replace(step, cause=step.place)


async def _keyed(control: ControlPlane, topology: Topology, token: str) -> list[StoredMessage]:
    filters: dict[str, list[str]] = {
        REFUSALS: [refusal_subject("*", "*", token)],
        DEADLETTERS: [deadletter_subject("*", "*", token)],
    }
    for spec in topology.events:
        if spec.key:
            filters.setdefault(spec.stream, []).append(f"{spec.subject}.{token}")
    several = await asyncio.gather(*(_history(control, *each) for each in filters.items()))
    return [message for messages in several for message in messages]


async def _history(
    control: ControlPlane, stream: str, subjects: Sequence[str]
) -> list[StoredMessage]:
    async def read() -> list[StoredMessage]:
        return [message async for message in control.history(stream, subjects)]

    return await if_exists(read()) or []


def _step(topology: Topology, message: StoredMessage) -> Step:
    spec = topology.event(message.subject)
    if message.removal:
        text = f"the server removed what was stored here ({message.removal})"
        return replace(
            _mark(message, "removal", spec.subject if spec else message.subject, "", text), by=""
        )
    if message.stream == REFUSALS:
        return _refusal(message)
    if message.stream == DEADLETTERS:
        return _dead_letter(message)
    cause, by = _cause(topology, message.cause_id)
    why, place = doubt(topology, message), f"{message.stream}:{message.sequence}"
    return Step(
        id=place,
        kind="event",
        subject=spec.subject if spec else message.subject,
        cause=cause,
        by=by,
        stored_ns=message.stored_ns,
        stored_at=message.stored_at,
        summary=summary(spec, message) if spec else "",
        notes=(f"forged: {why}; jetmesh heal {place} removes it",)
        if why
        else came_later(message.message_id),
        trace=trace_id_in(message.headers),
    )


def _cause(topology: Topology, message_id: str) -> tuple[str, str]:
    """The message that led to it and the handler; empty if none of ours did."""
    cause = cause_of(message_id)
    if cause is None or all(cause.stream != each.name for each in topology.streams):
        return "", ""
    return f"{cause.stream}:{cause.token}", f"{cause.service}.{cause.handler}"


class _Stored(Struct):
    stream: str
    sequence: int
    subject: str


class _Refusal(Struct):
    """What `runtime.message.letters.refusal` wrote."""

    stream: str
    sequence: int
    refused: str
    stored: _Stored


def _refusal(message: StoredMessage) -> Step:
    try:
        mark = msgspec.json.decode(message.payload, type=_Refusal)
    except (msgspec.DecodeError, UnicodeError, RecursionError):  # somebody typed it
        text = "a mark that cannot be read"
        return _mark(message, "refusal", "second decision", "", text)
    first = f"{mark.stored.stream}:{mark.stored.sequence}"
    text = f"{mark.refused} was refused: {first} had decided ({mark.stored.subject})"
    cause = cause_of(message.message_id)
    token = cause.token if cause else mark.sequence
    return _mark(message, "refusal", "second decision", f"{mark.stream}:{token}", text)


def _dead_letter(message: StoredMessage) -> Step:
    letter = Letter(message)
    text = f"{letter.error}: {letter.text} ({counted(letter.attempts, 'attempt')})"
    return _mark(message, "dead letter", "dead letter", _cause_of_letter(letter), text)


def _cause_of_letter(letter: Letter) -> str:
    try:
        return f"{letter.origin.stream}:{letter.origin.token}"
    except LetterError:  # somebody typed it
        stream, sequence = letter.header(header.STREAM), letter.header(header.SEQUENCE)
        return f"{stream}:{sequence}" if is_stream(stream) and is_number(sequence) else ""


def _mark(message: StoredMessage, kind: Kind, subject: str, cause: str, text: str) -> Step:
    address = address_of(message.subject)
    return Step(
        id=f"{message.stream}:{message.sequence}",
        kind=kind,
        subject=subject,
        cause=cause,
        by=f"{address.service}.{address.handler}" if address else "",
        stored_ns=message.stored_ns,
        stored_at=message.stored_at,
        summary=masked(text),
        trace=trace_id_in(message.headers),
    )


async def _with_waits(
    control: ControlPlane, topology: Topology, steps: Sequence[Step], token: str
) -> list[Step]:
    handled = {(step.cause, step.by) for step in steps}
    lanes = await _on_lanes(control, steps, token)
    stored = {step.id for step in steps}
    found: list[Step] = []
    for step in steps:
        notes = [*step.notes]
        waits = [text for (cause, _), text in lanes.items() if cause == step.id]
        if step.kind == "dead letter" and step.cause not in stored:  # what was replayed is gone
            waits += [text for (cause, by), text in lanes.items() if (cause, by) == _of(step)]
        for handler in topology.handlers:
            about = step.id, f"{handler.service}.{handler.name}"
            if step.kind != "event" or handler.input.subject != step.subject:
                continue
            if about in lanes:
                continue
            if taken := await taken_in(control, handler, step.id):
                notes.append(taken)
                continue
            waiting = [] if about in handled else await _waits(control, handler, step, token)
            waits += waiting
            if not waiting:
                notes += _lost(handler, step, steps)
        found.append(replace(step, waits=tuple(waits), notes=tuple(notes)))
    return found


def _lost(handler: Handler, step: Step, steps: Sequence[Step]) -> list[str]:
    """The outcome of a race that this step's message did not win."""
    name = f"{handler.service}.{handler.name}"
    races = {spec.decision for spec in handler.returns if spec.race}
    outcomes = [
        each
        for each in steps
        if each.kind == "event" and any(race and matches(race, each.subject) for race in races)
    ]
    gave_up = any(s.kind == "dead letter" and (s.cause, s.by) == (step.id, name) for s in steps)
    if gave_up or any(each.cause == step.id for each in outcomes):
        return []
    return [f"{name} left it at {each.id}, which decided first" for each in outcomes]


def _of(step: Step) -> tuple[str, str]:
    return step.cause, step.by


async def _on_lanes(
    control: ControlPlane, steps: Sequence[Step], token: str
) -> dict[tuple[str, str], str]:
    """What waits on lanes, by message and handler; handlers that nobody declares included."""
    origins = {step.id: _origin(step) for step in steps if step.kind == "event"}
    retries = [retry_subject("*", "*", origin) for origin in origins.values()]
    places = [lane_subject("*", "*", token), *retries, *map(old_subject, retries)]
    found: dict[tuple[str, str], str] = {}
    for message in await _in_lane_streams(control, places):
        letter = Letter(message)  # with the same headers
        try:
            stands_for = letter.origin
        except LetterError:  # somebody typed it
            continue
        name = f"{letter.service}.{letter.handler}"
        about = _id_of(stands_for, origins), name
        found[about] = _waits_on_lane(name, letter)
        if not await _has_lane(control, letter):
            found[about] += (
                f"; nothing will take it, because {message.stream} has no durable of this handler. "
                "Run jetmesh apply, if a service still declares it"
            )
    return found


async def _in_lane_streams(control: ControlPlane, subjects: Sequence[str]) -> list[StoredMessage]:
    streams = await control.holders(SUBJECTS[LANES])
    several = await asyncio.gather(*(_history(control, each, subjects) for each in streams))
    return [message for messages in several for message in messages]


def _id_of(origin: Origin, known: Mapping[str, Origin]) -> str:
    """The id of the step of an origin, with its time where another message stands there now."""
    place = f"{origin.stream}:{origin.sequence}"
    if place in known and not origin.is_same(known[place]):
        return f"{origin.stream}:{origin.token}"
    return place


def _waits_on_lane(name: str, letter: Letter) -> str:
    if ringing := rings(letter.message.headers):
        return f"{name} {ringing}"
    at = printable(scheduled_at(letter.message.headers)[11:19])
    number = letter.attempts + 1
    why = masked(f"{letter.error}: {letter.text}") if letter.header(header.ERROR) else "replayed"
    if at:
        return f"{name} tries again at {at}, attempt {number} ({why})"
    return f"{name} has it on its lane, attempt {number} ({why})"


async def _has_lane(control: ControlPlane, letter: Letter) -> bool:
    durable = f"{letter.message.stream}.{letter.service}-{letter.handler}"
    return await if_exists(control.api(f"CONSUMER.INFO.{durable}")) is not None


def _origin(step: Step) -> Origin:
    stream, _, sequence = step.id.partition(":")
    return Origin(step.subject, stream, sequence, step.stored_ns)


async def _waits(control: ControlPlane, handler: Handler, step: Step, token: str) -> list[str]:
    sequence = int(step.id.partition(":")[2])
    line = await place_in_line(control, handler, token, sequence) if handler.ordered else None
    return [line] if line else await _wait(control, handler, step)


async def _wait(control: ControlPlane, handler: Handler, step: Step) -> list[str]:
    """What the durable says about a message that led to nothing."""
    name, sequence = f"{handler.service}.{handler.name}", int(step.id.partition(":")[2])
    durable = f"{handler.input.stream}.{handler.durable}"
    info = await if_exists(control.api(f"CONSUMER.INFO.{durable}"))
    if info is None:
        return [f"waiting for {name}, which has no durable here"]
    if sequence > info["delivered"]["stream_seq"]:
        return [f"waiting for {name}"]
    if not handler.outputs:
        return []
    if sequence > info["ack_floor"]["stream_seq"]:
        return [f"{name} is handling it, or will try again"]
    lanes = lane_stream(handler.service)
    if await if_exists(control.api(f"STREAM.INFO.{lanes}")) is None:
        lost = f"If it waited on its lane it is lost: there is no stream {lanes}"
        return [f"{name} has made nothing of it. {lost}. Run jetmesh apply, and publish it again"]
    return []
