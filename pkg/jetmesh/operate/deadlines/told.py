"""What the story of a key says of events that are to come, or that came later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from jetmesh import wire
from jetmesh.declare import unescape_key
from jetmesh.operate.humanize import span
from jetmesh.privacy.mask import printable
from jetmesh.protocol import headers as header
from jetmesh.protocol.deadlines import Deadline, alarms_of, deadline_at, pending_of
from jetmesh.protocol.ids import LATER, cause_of, effect_of
from jetmesh.protocol.lanes import scheduled_at
from jetmesh.protocol.times import time_text
from jetmesh.transport.stored import StoredMessage

_SOON: Final = 1.0


def alarms_about(token: str) -> str:
    """Where the alarms of a key wait, of all services."""
    return alarms_of("*", "*", token)


def to_come(
    states: Iterable[StoredMessage], alarms: Iterable[StoredMessage]
) -> list[tuple[str, str]]:
    """What waits, in words, each behind the id of the message that asked for it, `ORDERS:5`.

    `states` is all that is stored of states, the oldest first; `alarms` what waits on lane streams.
    """
    newest = {message.subject: message for message in states}
    found = [told for message in newest.values() for told in _kept(message)]
    for message in alarms:
        at, due = deadline_at(message.subject), scheduled_at(message.headers)
        if at and due and header.NOTED not in message.headers:  # else a state tells of it
            place = f"{message.headers.get(header.STREAM)}:{message.headers.get(header.SEQUENCE)}"
            found.append((place, _words(at[1], due)))
    return found


def came_later(message: StoredMessage) -> tuple[str, ...]:
    """What is worth knowing of an event that did not come at once, or was to come in the past."""
    cause = cause_of(message.message_id)
    if cause is None or not effect_of(message.message_id).startswith(LATER):
        return ()
    waited = (message.stored_ns - cause.stored) / 1e9 if cause.stored else _SOON
    if waited < _SOON:
        return ("it came at once: its time was less than a second away, or had passed",)
    after = f", {span(waited)} after {cause.stream}:{cause.sequence}" if cause.stored else ""
    return (f"it came when its time had come{after}",)


def rings(headers: dict[str, str]) -> str:
    """What a message on a lane is, in words, that rings for a deadline; empty for any other."""
    event = headers.get(header.DEADLINE, "").partition(" ")[0]
    return f"has to publish {event}, whose time has come" if event else ""


def _kept(message: StoredMessage) -> list[tuple[str, str]]:
    try:
        pending = pending_of(wire.legible(message.headers.get(header.DEADLINES, "")))
    except msgspec.DecodeError:  # somebody typed it
        return []
    found = []
    for each in pending:
        cause = cause_of(each.id)
        place = f"{cause.stream}:{cause.sequence}" if cause else ""
        found.append((place, _words(each.deadline, time_text(each.due))))
    return found


def _words(deadline: Deadline, due: str) -> str:
    named = "" if deadline.name == "_" else f" ({unescape_key(deadline.name)})"
    return printable(f"{deadline.event}{named} is to come at {due[:19].replace('T', ' ')} UTC")
