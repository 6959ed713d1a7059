"""Messages that a person typed without a key in the subject: only their payload tells of whom."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from typing import Final

import msgspec

from jetmesh.declare import EventSpec, Topology, key_of
from jetmesh.protocol.content import event_json
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.reader import reader_of
from jetmesh.transport.stored import StoredMessage, if_exists

_NEWEST: Final = 256
"""How many messages are looked through for one that nobody has handled yet."""


async def unhandled(
    control: ControlPlane, topology: Topology, key: str, begun: Container[str]
) -> list[StoredMessage]:
    """Of the newest ones those about `key` that led to nothing yet.

    `begun` are subjects of which one is known that came from outside.
    """
    found: list[StoredMessage] = []
    for spec in topology.from_outside:
        if spec.key and spec.subject not in begun:
            newest = await _newest(control, spec.stream)
            found += [m for m in newest if m.subject == spec.subject and has_key(spec, m, key)]
    return found


async def _newest(control: ControlPlane, stream: str) -> list[StoredMessage]:
    info = await if_exists(control.api(f"STREAM.INFO.{stream}"))
    if info is None:
        return []
    state = info["state"]
    first = max(state["first_seq"], state["last_seq"] - _NEWEST + 1, 1)
    numbers = range(first, state["last_seq"] + 1)
    messages = await asyncio.gather(*(control.message(stream, number) for number in numbers))
    return [message for message in messages if message is not None]


def has_key(spec: EventSpec, message: StoredMessage, key: str) -> bool:
    """Whether `message`, an event of `spec`, is about `key`."""
    try:
        return key_of(spec, reader_of(spec).read_stored(message.payload, message.headers)) == key
    except Exception:  # noqa: BLE001, S110 - a contract's own check may raise anything: as below
        pass
    try:
        raw = msgspec.json.decode(event_json(message.payload, message.headers))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return isinstance(raw, dict) and raw.get(spec.key_name) == key
