"""Forged messages: what stands where an output of ours belongs, and removing it.

Which they are, the services say that wait for them, and the declarations. Nothing else is removed:
an event that its owner can have made is the truth, whoever would like to have another one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from msgspec import Struct

from jetmesh.declare import StateSpec, Topology, matches
from jetmesh.errors import JetmeshError
from jetmesh.operate.asking.answers import Instance
from jetmesh.operate.doctor.own_states import forgery
from jetmesh.protocol.ids import is_number
from jetmesh.protocol.streams import is_stream
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.outcomes import Outcomes, unreadable_as
from jetmesh.transport.stored import StoredMessage


@dataclass(frozen=True, slots=True)
class Suspect:
    """A message that cannot be what its subject says."""

    message: StoredMessage
    why: str
    waiting: tuple[str, ...] = ()
    """`service.handler` of those that say that they wait for it to be removed."""

    @property
    def place(self) -> str:
        return self.message.place


class Gone(JetmeshError):  # noqa: N818 - a state of the world, not of the code
    """Nothing stands there any more."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"There is no message {place} any more.",
            remedy="What waited for it goes on by itself, at its next attempt.",
        )


def doubt(topology: Topology, message: StoredMessage) -> str:
    """Why nobody who may can have made a message, in words; empty when somebody can.

    Of what comes from outside, and of what nobody declares, there is nothing to tell.
    """
    spec = topology.event(message.subject)
    if spec is None:
        decisions = {each.decision for each in topology.events if each.decision}
        decides = any(matches(f"{each}.*", message.subject) for each in decisions)
        return "it would decide, and nobody declares it" if decides else ""
    if spec not in topology.owners or message.removal:
        return ""
    if isinstance(spec, StateSpec):  # without a payload: nothing is remembered, inputs are noted
        return forgery(message) or (unreadable_as(spec, message) if message.payload else "")
    if spec.decision:
        (owner,) = (s for s in topology.services if s.name == topology.owners[spec])
        return Outcomes.of(owner).doubt(message)
    return unreadable_as(spec, message)


def waited_for(instances: Collection[Instance]) -> dict[str, tuple[str, ...]]:
    """What running services wait for to be removed, as `ORDERS:17`, and who does."""
    found: dict[str, dict[str, None]] = {}
    for instance in instances:
        for endpoint in instance.endpoints or ():
            for place in endpoint.data.forged:
                found.setdefault(place, {})[f"{instance.name}.{endpoint.name}"] = None
    return {place: tuple(names) for place, names in found.items()}


async def suspect(
    control: ControlPlane, topology: Topology, place: str, waiting: tuple[str, ...] = ()
) -> Suspect:
    """What stands in a place, if it is forged.

    Raises:
        Gone: nothing stands there.
        JetmeshError: nothing speaks against what does.
        BrokerError: the broker does not answer.
    """
    stream, _, number = place.partition(":")
    if not is_stream(stream) or not is_number(number):
        raise JetmeshError(
            f"{place!r} is no place of a message.", remedy="Write it as /readyz does: ORDERS:17."
        )
    message = await control.message(stream, int(number))
    if message is None:
        raise Gone(place)
    why = doubt(topology, message)
    if not why and not waiting:
        raise JetmeshError(
            f"Nothing speaks against {place}: its owner can have made it.",
            remedy="Only what is forged is removed here.",
        )
    return Suspect(message, why or "it is not what they would have stored", waiting)


async def remove(control: ControlPlane, found: Suspect) -> None:
    """Remove a message, and overwrite it where it was stored.

    Raises:
        Gone: something else stands there now: the stream was made again.
        BrokerError: the broker refuses, or does not answer.
    """
    message = found.message
    now = await control.message(message.stream, message.sequence)
    if now is None or now.stored_ns != message.stored_ns:
        raise Gone(found.place)
    await control.api(f"STREAM.MSG.DELETE.{message.stream}", {"seq": message.sequence})


def contracts_of(topology: Topology, message: StoredMessage) -> list[type[Struct]]:
    """By whose annotations its payload is masked: its own event's, or all there are."""
    spec = topology.event(message.subject)
    return [spec.type] if spec else [each.type for each in topology.events]
