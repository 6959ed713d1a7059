"""Reading what is stored about a key."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from typing import Final

import msgspec

from jetmesh.declare import EventSpec, Topology, key_of
from jetmesh.operate.stored import stored_on
from jetmesh.protocol.content import UNDECODED, event_json
from jetmesh.protocol.streams import DEADLETTERS, LANES, REFUSALS
from jetmesh.protocol.subjects import SUBJECTS, deadletter_subject, refusal_subject
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.reader import reader_of
from jetmesh.transport.stored import StoredMessage, if_exists

_NEWEST: Final = 256
"""Messages that are looked through for one without a key in its subject."""


async def about_key(control: ControlPlane, topology: Topology, token: str) -> list[StoredMessage]:
    """Events, refusals and dead letters whose subject has the key."""
    filters: dict[str, list[str]] = {
        REFUSALS: [refusal_subject("*", "*", token)],
        DEADLETTERS: [deadletter_subject("*", "*", token)],
    }
    for spec in topology.events:
        if spec.key:
            filters.setdefault(spec.stream, []).append(f"{spec.subject}.{token}")
    several = await asyncio.gather(*(stored_on(control, *each) for each in filters.items()))
    return [message for messages in several for message in messages]


async def in_lane_streams(control: ControlPlane, subjects: Sequence[str]) -> list[StoredMessage]:
    """What is stored on these subjects in the lane streams of all services."""
    streams = await control.holders(SUBJECTS[LANES])
    several = await asyncio.gather(*(stored_on(control, each, subjects) for each in streams))
    return [message for messages in several for message in messages]


async def typed(
    control: ControlPlane, topology: Topology, key: str, begun: Container[str]
) -> list[StoredMessage]:
    """Those of the newest messages about `key` that a person typed: no subject says so.

    `begun` are subjects of which one is known already.
    """
    found: list[StoredMessage] = []
    for spec in topology.from_outside:
        if spec.key and spec.subject not in begun:
            info = await if_exists(control.api(f"STREAM.INFO.{spec.stream}"))
            first = max(1, info["state"]["last_seq"] - _NEWEST + 1) if info else 1
            newest = await stored_on(control, spec.stream, [spec.subject], first=first)
            found += [message for message in newest if has_key(spec, message, key)]
    return found


def has_key(spec: EventSpec, message: StoredMessage, key: str) -> bool:
    """Whether `message`, an event of `spec`, is about `key`."""
    try:
        return key_of(spec, reader_of(spec).read_stored(message.payload, message.headers)) == key
    except Exception:  # noqa: BLE001, S110 - a contract's own check may raise anything: as below
        pass
    try:
        raw = msgspec.json.decode(event_json(message.payload, message.headers))
    except UNDECODED:
        return False
    return isinstance(raw, dict) and raw.get(spec.key_name) == key
