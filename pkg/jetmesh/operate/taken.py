"""Whether the state of its key has taken a message in, for the story of that message."""

from __future__ import annotations

import msgspec

from jetmesh import wire
from jetmesh.declare import Handler, Remembering, escape_key, unescape_key
from jetmesh.privacy.mask import printable
from jetmesh.protocol import headers as header
from jetmesh.protocol.steps import Applied, Input, applied_of
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.reader import reader_of
from jetmesh.transport.stored import StoredMessage


async def taken_in(control: ControlPlane, handler: Handler, place: str) -> str:
    """What the state says of the message in a place, `PAYMENTS:5`; empty when it is not in there.

    Raises:
        BrokerError: the broker does not answer.
    """
    stream, _, sequence = place.partition(":")
    remembers = handler.remembers
    message = await control.message(stream, int(sequence)) if remembers else None
    token = _token(handler, remembers, message) if remembers and message else ""
    if not (remembers and message and token):
        return ""
    state = remembers.state
    applied = _applied(await control.last(state.stream, f"{state.subject}.{token}"))
    given = Input(handler.input.subject, message.sequence, message.stored_ns)
    if (
        applied.is_waiting(given)
        or applied.is_ignored(given)
        or not (applied.has(given) or applied.came_late(given))
    ):
        return ""
    name, key = f"{handler.service}.{handler.name}", printable(unescape_key(token))
    return f"{name} took it into {state.title} of {key}"


def _token(handler: Handler, remembers: Remembering, message: StoredMessage) -> str:
    try:
        event = reader_of(handler.input).read_stored(message.payload, message.headers)
        return escape_key(remembers.key(event))
    except Exception:  # noqa: BLE001 - a contract's own code may raise anything
        return ""


def _applied(stored: StoredMessage | None) -> Applied:
    try:
        return applied_of(wire.legible(stored.headers.get(header.APPLIED, "") if stored else ""))
    except msgspec.DecodeError:
        return Applied()
