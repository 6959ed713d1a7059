"""The events that are to come, as stored messages hold them: alarms on lanes, and states."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from jetmesh import wire
from jetmesh.protocol import headers as header
from jetmesh.protocol.deadlines import deadline_of, pending_of
from jetmesh.protocol.subjects import address_of
from jetmesh.protocol.versions import said

_RINGS = f"{header.DEADLINE}:".encode()
_KEPT = f"{header.DEADLINES}:".encode()


class ToCome(NamedTuple):
    """One of them, as it will be published."""

    event: str
    """Its subject, without the key."""
    handler: str
    """Which one asked for it."""
    headers: bytes
    payload: bytes


def is_alarm(headers: bytes) -> bool:
    """Whether a message on a lane stands for a deadline, due or not."""
    return _RINGS in headers


def to_come_in(subject: bytes, headers: bytes, payload: bytes) -> list[ToCome]:
    """What a message of a lane stream, or of a state, says that is to come; of most nothing."""
    if _KEPT in headers:
        return _of_state(headers)
    return _of_alarm(subject, headers, payload) if is_alarm(headers) else []


def _of_state(headers: bytes) -> list[ToCome]:
    text = wire.legible(wire.parse(headers).values.get(header.DEADLINES, ""))
    try:
        pending = pending_of(text)
    except msgspec.DecodeError:  # somebody typed it
        return []
    return [
        ToCome(
            each.event,
            each.handler,
            wire.block({**said(each.version), header.MESSAGE_ID: each.id}),
            bytes(each.payload),
        )
        for each in pending
    ]


def _of_alarm(subject: bytes, headers: bytes, payload: bytes) -> list[ToCome]:
    values = wire.parse(headers).values
    if header.NOTED in values:
        return []  # a state keeps it
    try:
        deadline = deadline_of(values[header.DEADLINE])
    except (KeyError, ValueError):  # somebody typed it
        return []
    lane = values.get(header.SCHEDULE_TARGET) or subject.decode(errors="replace")
    address = address_of(lane)
    return [ToCome(deadline.event, address.handler, headers, payload)] if address else []
