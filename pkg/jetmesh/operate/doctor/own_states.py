"""What the newest messages of a state's stream say of their keys, without what is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from jetmesh import wire
from jetmesh.declare import StateSpec, Topology, unescape_key
from jetmesh.operate.asking.answers import StreamInfo
from jetmesh.operate.doctor.facts import CrowdedKey, StateLook
from jetmesh.operate.states import applied_in
from jetmesh.protocol import headers as header
from jetmesh.protocol.steps import FULL, applied_of, following_of
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage, if_exists

_NEWEST: Final = 20_000
"""So many sequences are looked through: more would take seconds."""
_CROWDED: Final = FULL * 3 // 4


async def states(
    control: ControlPlane, topology: Topology, streams: Mapping[str, StreamInfo]
) -> tuple[StateLook, ...]:
    """Each declared state: keys with little room, and messages that no step wrote."""
    specs = [spec for spec in topology.events if isinstance(spec, StateSpec)]
    looks = [await _look(control, each, streams.get(each.stream)) for each in specs]
    return tuple(each for each in looks if each is not None)


async def _look(
    control: ControlPlane, spec: StateSpec, info: StreamInfo | None
) -> StateLook | None:
    if info is None or not info.state.messages:
        return None
    first = max(1, info.state.last_seq - _NEWEST + 1)
    newest = await if_exists(_newest(control, spec, first))
    forged: list[tuple[str, str]] = []
    crowded: list[CrowdedKey] = []
    for message in (newest or {}).values():
        if why := forgery(message):
            forged.append((message.place, why))
        elif (key := _crowded(message)) is not None:
            crowded.append(key)
    return StateLook(spec.title, spec.stream, tuple(crowded), tuple(forged))


async def _newest(control: ControlPlane, spec: StateSpec, first: int) -> dict[str, StoredMessage]:
    reading = control.history(spec.stream, [f"{spec.subject}.*"], first=first, headers_only=True)
    return {message.subject: message async for message in reading}


def forgery(message: StoredMessage) -> str:
    """Why no step can have written a message on a state's subject; empty when one can."""
    try:
        applied_of(wire.legible(message.headers.get(header.APPLIED, "")))
        following_of(wire.legible(message.headers.get(header.FOLLOWING, "")))
    except (msgspec.DecodeError, ValueError) as error:
        return f"its headers are none of a step's: {error}"
    return ""


def _crowded(message: StoredMessage) -> CrowdedKey | None:
    applied = applied_in(message)
    above, waiting = sum(map(len, applied.inputs.values())), len(applied.waiting)
    if max(above, waiting) < _CROWDED:
        return None
    return CrowdedKey(unescape_key(message.subject.rpartition(".")[2]), above, waiting)
