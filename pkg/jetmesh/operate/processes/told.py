"""What a trace says of processes: the step, what it waits for, and what it passed over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from jetmesh.declare import Topology
from jetmesh.operate.processes.flow import flows
from jetmesh.operate.processes.standing import Standing, standing
from jetmesh.transport.stored import StoredMessage


@dataclass(slots=True)
class Told:
    """Of one stored message, by what a trace shows beside it."""

    waits: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def told(topology: Topology, messages: Iterable[StoredMessage]) -> defaultdict[str, Told]:
    """By the id of a message, `STATES_FULFILMENT_ORDERS:17` or `PAYMENTS:5`."""
    found: defaultdict[str, Told] = defaultdict(Told)
    states = {message.subject: message for message in messages}  # the newest of each
    for flow in flows(topology):
        for subject, message in states.items():
            if subject.rpartition(".")[0] != flow.spec.subject:
                continue
            stands = standing(flow, message)
            if stands is not None:
                _tell(found, topology, stands)
    return found


def _tell(found: defaultdict[str, Told], topology: Topology, stands: Standing) -> None:
    own = found[stands.place]
    if stands.problem:
        own.waits.append(stands.problem)
    elif stands.waits_for:
        step = f"in the step {stands.step!r} since {stands.since:%H:%M:%S}"
        events = ", ".join(stands.waits_for)
        if stands.ended:
            own.notes.append(f"{step}, an end unless {events} comes")
        else:
            own.waits.append(f"{step}, waiting for {events}{_until(stands)}")
    if stands.remaining:
        own.notes.append(f"steps that may come: {', '.join(stands.remaining)}")
    for given in stands.unexpected:
        source, _, rest = given.partition(" ")
        token, _, step = rest.partition(" in ")
        spec = topology.event(source)
        if spec is not None:
            place = f"{spec.stream}:{token.partition('-')[0]}"
            found[place].notes.append(f"{stands.process} ignored it in the step {step!r}")


def _until(stands: Standing) -> str:
    return f" until {stands.until:%Y-%m-%d %H:%M:%S} UTC" if stands.until else ""
