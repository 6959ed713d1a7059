"""The story of one key, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jetmesh.declare import Topology, escape_key
from jetmesh.operate.deadlines.told import alarms_about, to_come
from jetmesh.operate.processes.told import Told, told
from jetmesh.operate.trace.reading import about_key, in_lane_streams, typed
from jetmesh.operate.trace.step import Step, step_of
from jetmesh.operate.trace.waits import with_waits
from jetmesh.protocol import headers as header
from jetmesh.transport.control import ControlPlane


async def trace(control: ControlPlane, topology: Topology, key: str) -> list[Step]:
    """Every step of the story of `key` in the order of time; empty when nothing is stored.

    Raises:
        ContractViolation: no event can have such a key.
        BrokerError: the broker does not answer.
    """
    token = escape_key(key)
    found = await about_key(control, topology, token)
    steps = {step.id: step for step in (step_of(topology, each) for each in found)}
    known = {stream.name for stream in topology.streams}
    for place in sorted({step.place for step in steps.values()} - {""} - set(steps)):
        stream, _, sequence = place.partition(":")
        message = await control.message(stream, int(sequence)) if stream in known else None
        followers = [step for step in steps.values() if step.place == place]
        if message is not None and any(s.may_follow(message.stored_ns) for s in followers):
            steps[place] = step_of(topology, message)
    begun = {step.subject for step in steps.values() if not step.cause}
    for message in await typed(control, topology, key, begun):
        step = step_of(topology, message)
        steps[step.id] = step
    linked = [_linked(step, steps) for step in steps.values()]
    ordered = sorted(linked, key=lambda step: step.stored_ns)
    alarms = await in_lane_streams(control, [alarms_about(token)])
    coming = to_come((each for each in found if header.APPLIED in each.headers), alarms)
    waiting = await with_waits(control, topology, ordered, token)
    said = told(topology, found)
    for place, text in coming:
        said[place].waits.append(text)
    return [_with(said[step.id], step) for step in waiting]


def _with(said: Told, step: Step) -> Step:
    return replace(step, waits=(*step.waits, *said.waits), notes=(*step.notes, *said.notes))


def _linked(step: Step, steps: Mapping[str, Step]) -> Step:
    """The step with the id of its cause, unless another message took that id since."""
    found = steps.get(step.place)
    if found is not None and not step.may_follow(found.stored_ns):
        return step
    return replace(step, cause=step.place)
