"""Steps of a state that no input made: its service noted a failure, or an operator moved it."""

from __future__ import annotations

from jetmesh.declare import StateSpec, Topology
from jetmesh.operate.states import applied_in
from jetmesh.protocol import headers as header
from jetmesh.transport.stored import StoredMessage

_BY_HAND = "jetmesh process advance"


def explained(topology: Topology, spec: StateSpec, message: StoredMessage) -> tuple[str, str, str]:
    """The newest input that it is about as `PAYMENTS:5-…`, who made it, and what it is, in words.

    All empty of a step that an input made, or somebody typed.
    """
    if message.headers.get(header.CAUSE) == header.BY_HAND:
        return "", _BY_HAND, "moved by hand"
    if header.CAUSE in message.headers or header.APPLIED not in message.headers:
        return "", "", ""
    owner = topology.owners.get(spec, "")
    waiting = applied_in(message).waiting
    if not waiting:
        return "", owner, "changes nothing: its service made sure that nobody else had changed it"
    source, _, token = waiting[-1].partition(" ")
    event = topology.event(source)
    place = f"{event.stream}:{token.partition('-')[0]}" if event else waiting[-1]
    more = f" and {len(waiting) - 1} before it" if len(waiting) > 1 else ""
    text = f"changes nothing: it notes that {place}{more} failed, and may come again"
    return (f"{event.stream}:{token}" if event else ""), owner, text
