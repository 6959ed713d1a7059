"""What has not finished yet with the messages of a story, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jetmesh.declare import Handler, Remembering, Topology, escape_key, matches, unescape_key
from jetmesh.operate.deadletters.letter import Letter, LetterError
from jetmesh.operate.deadlines.told import rings
from jetmesh.operate.order import place_in_line
from jetmesh.operate.states import applied_in
from jetmesh.operate.trace.reading import in_lane_streams
from jetmesh.operate.trace.step import Step
from jetmesh.privacy.mask import masked, printable
from jetmesh.protocol import headers as header
from jetmesh.protocol.lanes import Origin, scheduled_at
from jetmesh.protocol.steps import Applied, Input
from jetmesh.protocol.streams import lane_stream
from jetmesh.protocol.subjects import lane_subject, old_subject, retry_subject
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.reader import reader_of
from jetmesh.transport.stored import StoredMessage, if_exists


async def with_waits(
    control: ControlPlane, topology: Topology, steps: Sequence[Step], token: str
) -> list[Step]:
    """The steps, each with who has not finished with it yet, and what is worth knowing of it."""
    handled = {(step.cause, step.by) for step in steps}
    lanes = await _on_lanes(control, steps, token)
    stored = {step.id for step in steps}
    found: list[Step] = []
    for step in steps:
        notes = [*step.notes]
        waits = [text for (cause, _), text in lanes.items() if cause == step.id]
        if step.kind == "dead letter" and step.cause not in stored:  # what was replayed is gone
            waits += [lanes[step.cause, step.by]] if (step.cause, step.by) in lanes else []
        for handler in topology.handlers if step.kind == "event" else ():
            about = step.id, handler.title
            if handler.input.subject != step.subject or about in lanes:
                continue
            if taken := await _taken_in(control, handler, step.id):
                notes.append(taken)
                continue
            waiting = [] if about in handled else await _waits_for(control, handler, step, token)
            waits += waiting
            if not waiting:
                notes += _lost(handler, step, steps)
        found.append(replace(step, waits=tuple(waits), notes=tuple(notes)))
    return found


def _lost(handler: Handler, step: Step, steps: Sequence[Step]) -> list[str]:
    """The outcome of a race that this step's message did not win."""
    name = handler.title
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


async def _on_lanes(
    control: ControlPlane, steps: Sequence[Step], token: str
) -> dict[tuple[str, str], str]:
    """What waits on lanes, by message and handler; handlers that nobody declares included."""
    origins = {step.id: _origin(step) for step in steps if step.kind == "event"}
    retries = [retry_subject("*", "*", origin) for origin in origins.values()]
    places = [lane_subject("*", "*", token), *retries, *map(old_subject, retries)]
    found: dict[tuple[str, str], str] = {}
    for message in await in_lane_streams(control, places):
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


def _id_of(origin: Origin, known: Mapping[str, Origin]) -> str:
    """The id of the step of an origin, with its time where another message stands there now."""
    known_there = known.get(origin.place)
    if known_there is not None and not origin.is_same(known_there):
        return f"{origin.stream}:{origin.token}"
    return origin.place


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


async def _waits_for(control: ControlPlane, handler: Handler, step: Step, token: str) -> list[str]:
    sequence = int(step.id.partition(":")[2])
    line = await place_in_line(control, handler, token, sequence) if handler.ordered else None
    return [line] if line else await _at_durable(control, handler, step)


async def _at_durable(control: ControlPlane, handler: Handler, step: Step) -> list[str]:
    """What the durable says about a message that led to nothing."""
    name, sequence = handler.title, int(step.id.partition(":")[2])
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


async def _taken_in(control: ControlPlane, handler: Handler, place: str) -> str:
    """What the state says of the message in a place, `PAYMENTS:5`; empty when it is not in there.

    Raises:
        BrokerError: the broker does not answer.
    """
    stream, _, sequence = place.partition(":")
    remembers = handler.remembers
    message = await control.message(stream, int(sequence)) if remembers else None
    token = _key_token(handler, remembers, message) if remembers and message else ""
    if not (remembers and message and token):
        return ""
    state = remembers.state
    newest = await control.last(state.stream, f"{state.subject}.{token}")
    applied = applied_in(newest) if newest else Applied()
    given = Input(handler.input.subject, message.sequence, message.stored_ns)
    is_taken = applied.has(given) or applied.came_late(given)
    if not is_taken or applied.is_waiting(given) or applied.is_ignored(given):
        return ""
    return f"{handler.title} took it into {state.title} of {printable(unescape_key(token))}"


def _key_token(handler: Handler, remembers: Remembering, message: StoredMessage) -> str:
    try:
        event = reader_of(handler.input).read_stored(message.payload, message.headers)
        return escape_key(remembers.key(event))
    except Exception:  # noqa: BLE001 - a contract's own code may raise anything
        return ""
