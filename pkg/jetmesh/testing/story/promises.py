"""What declarations promise, whatever happens: judged when everything that happened is over."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from jetmesh.declare import Handler
from jetmesh.protocol.ids import is_same_id
from jetmesh.protocol.lanes import origin_of
from jetmesh.protocol.streams import DEADLETTERS, lane_stream
from jetmesh.protocol.subjects import deadletter_subject, lane_subject
from jetmesh.runtime.message.outputs import Outputs, several
from jetmesh.testing.story.doubles import Effect
from jetmesh.testing.story.reading import stored
from jetmesh.testing.story.record import Record, Run
from jetmesh.testing.story.world import World
from jetmesh.transport.stored import StoredMessage


def broken(world: World, record: Record) -> Iterator[str]:
    """Every promise that does not hold, in words."""
    yield from _two_outcomes(world)
    yield from _two_effects(world.effects)
    yield from _two_letters(world)
    yield from _steps(world, record)
    for handler in world.script.topology.handlers:
        yield from _without_end(world, handler)
        yield from _untouched(world, record, handler)
        yield from _missing(world, record, handler)


def _two_outcomes(world: World) -> Iterator[str]:
    """A key has one outcome of each decision."""
    for decision, stream in {(s.decision, s.stream) for s in world.script.topology.events}:
        if decision is None:
            continue
        for token, found in _by_token(stored(world.server, stream, f"{decision}.*")).items():
            if len(found) > 1:
                yield f"{token} has {len(found)} outcomes of {decision}: {_places(found)}"


def _two_effects(effects: Iterable[Effect]) -> Iterator[str]:
    """Each attempt for an input asks a resource for the same, so that it is known again."""
    calls: dict[tuple[Run, str], set[str]] = defaultdict(set)
    for effect in effects:
        asked = f"{effect.resource.__name__}.{effect.name}"
        calls[(effect.handler, effect.cause), asked].add(effect.call)
    for ((handler, cause), _), several_calls in calls.items():
        if len(several_calls) > 1:
            yield (
                f"{handler} had two effects for {cause}: {' and '.join(sorted(several_calls))}; "
                "whatever it reaches cannot know the second one as a repetition"
            )


def _two_letters(world: World) -> Iterator[str]:
    """An input that is given up has one letter."""
    found: Counter[tuple[str, str, str]] = Counter()
    for letter in stored(world.server, DEADLETTERS, deadletter_subject("*", "*", "*")):
        origin = origin_of(letter.headers)
        found[letter.subject, origin.stream, origin.token] += 1
    for (subject, stream, token), count in found.items():
        if count > 1:
            yield f"{stream}:{token} has {count} letters on {subject}"


def _steps(world: World, record: Record) -> Iterator[str]:
    """Each input changes its state once, and each output of a stored step is stored once."""
    for spec in world.script.states.values():
        where: dict[tuple[str, Run], list[str]] = defaultdict(list)
        for kept in world.server.stream(spec.stream).log:
            place = f"{spec.stream}:{kept.sequence}"
            taken = record.steps.get((kept.subject.encode(), kept.headers, kept.payload))
            if taken is None:
                yield f"{place} is no step of a handler of this story"
                continue
            for each in taken.inputs:
                where[kept.subject, each].append(place)
            for output in taken.following:
                count = _count(world, output.subject, output.id)
                if count != 1:
                    yield f"an output of {place} on {output.subject} is stored {count} times"
        for (subject, (handler, cause)), places in where.items():
            if len(places) > 1:
                yield f"{subject} took in {cause} by {handler} twice: {', '.join(places)}"


def _without_end(world: World, handler: Handler) -> Iterator[str]:
    """Everything is acked, on a lane, or a letter."""
    for stream in (handler.input.stream, lane_stream(handler.service)):
        durable = world.server.durable(stream, handler.durable)
        assert durable is not None  # noqa: S101 - it was made, and made again
        waiting = sorted(durable.pending)
        if waiting or durable.ready:
            places = ", ".join(f"{stream}:{each}" for each in waiting) or f"more of {stream}"
            problems = [text for each in world.processes.values() for text in each.problems]
            why = f" ({'; '.join(problems)})" if problems else ""
            yield f"{handler.title} has no end of {places}{why}"


def _untouched(world: World, record: Record, handler: Handler) -> Iterator[str]:
    """No input of a state is lost: it is in a step, on the lane, or a letter."""
    if handler.remembers is None:
        return
    taken = {run for step in _stored_steps(world, record) for run in step}
    left = {*_origins(world, handler)}
    for message in _inputs(world, handler):
        cause = f"{message.stream}:{message.sequence}-{message.stored_ns}"
        if (handler.title, cause) not in taken and cause not in left:
            yield f"{handler.title} never took in {cause}"


def _missing(world: World, record: Record, handler: Handler) -> Iterator[str]:
    """What a handler returned is stored; another one's outcome may stand in its place."""
    if handler.remembers is not None:
        return
    outputs = Outputs(handler)
    left = {*_origins(world, handler)}
    for (name, cause), result in record.results.items():
        if name != handler.title or cause in left:
            continue
        values = [each for each in several(result) if type(each) in outputs.by_type]
        decides = [v for v in values if outputs.by_type[type(v)].decision]
        for value in decides or values:
            output = outputs.by_type[type(value)]
            origin = cause.partition(":")[2].encode()
            subject, _, _ = output.message(value, origin)
            token = subject.decode().rpartition(".")[2]
            if output.decision:
                count = len(stored(world.server, output.stream, output.decision_filter(token)))
            else:
                count = _count(world, subject.decode(), output.identity(subject, origin))
            if not count:
                yield f"{name} returned {type(value).__name__} for {cause}, which is not stored"


def _stored_steps(world: World, record: Record) -> Iterator[list[Run]]:
    for spec in world.script.states.values():
        for kept in world.server.stream(spec.stream).log:
            taken = record.steps.get((kept.subject.encode(), kept.headers, kept.payload))
            if taken is not None:
                yield taken.inputs


def _inputs(world: World, handler: Handler) -> Iterator[StoredMessage]:
    for pattern in handler.input.filters:
        yield from stored(world.server, handler.input.stream, pattern)


def _origins(world: World, handler: Handler) -> Iterator[str]:
    """What a handler has on its lane, and what became letters."""
    lane = stored(world.server, lane_stream(handler.service))
    mine = lane_subject(handler.service, handler.name, "")
    letters = deadletter_subject(handler.service, handler.name, "*")
    several_messages = [m for m in lane if m.subject.startswith(mine)]
    for message in (*several_messages, *stored(world.server, DEADLETTERS, letters)):
        with contextlib.suppress(ValueError):  # it stands for no other
            origin = origin_of(message.headers)
            yield f"{origin.stream}:{origin.token}"


def _count(world: World, subject: str, message_id: str) -> int:
    stream = world.server.of_subject(subject)
    found = stored(world.server, stream.name, subject) if stream else []
    return sum(is_same_id(each.message_id, message_id) for each in found)


def _by_token(messages: Iterable[StoredMessage]) -> dict[str, list[StoredMessage]]:
    found: dict[str, list[StoredMessage]] = defaultdict(list)
    for message in messages:
        found[message.subject.rpartition(".")[2]].append(message)
    return found


def _places(messages: Iterable[StoredMessage]) -> str:
    return ", ".join(f"{each.stream}:{each.sequence} ({each.subject})" for each in messages)
