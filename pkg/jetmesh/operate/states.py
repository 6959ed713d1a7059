"""What is remembered: the states of keys as their streams hold them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec
from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import StateSpec, Topology, escape_key, unescape_key
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.operate.summary import as_json
from jetmesh.protocol import headers as header
from jetmesh.protocol.ids import cause_of
from jetmesh.protocol.steps import Applied, applied_of, following_of
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage


class Version(Struct, frozen=True):
    """One step of a key, as it is stored."""

    id: str
    """`STATES_LOYALTY_ACCOUNTS:17`."""
    stored_at: datetime
    state: str
    """As JSON, without what is sensitive; empty when nothing is remembered."""
    cause: str
    """`PAYMENTS:5`, of the newest input; empty when the step says none."""
    waiting: int
    """Inputs that failed, and come again from a lane or a letter."""
    following: int
    """Outputs that follow from it; those of the newest step may be on their way."""


def states_of(topology: Topology) -> dict[str, StateSpec]:
    """Every state by its name."""
    return {spec.title: spec for spec in topology.events if isinstance(spec, StateSpec)}


def state_named(topology: Topology, name: str) -> StateSpec:
    """The state of this name.

    Raises:
        UsageError: there is none.
    """
    known = states_of(topology)
    if name not in known:
        raise UsageError(
            f"There is no state {name!r}.",
            remedy=f"There are {', '.join(known)}." if known else "No handler remembers anything.",
        )
    return known[name]


async def keys(control: ControlPlane, spec: StateSpec) -> list[str]:
    """The keys of which something is stored, in their order.

    Raises:
        ApiError, BrokerError: the broker has no such stream, or does not answer.
    """
    found = await control.subjects(spec.stream, spec.filters[-1])
    return sorted(unescape_key(subject.rpartition(".")[2]) for subject in found)


async def newest(control: ControlPlane, spec: StateSpec, key: str) -> Version:
    """What is remembered of a key now.

    Raises:
        JetmeshError: nothing is stored of it.
        ApiError, BrokerError: as `keys`.
    """
    found = await control.last(spec.stream, f"{spec.subject}.{escape_key(key)}")
    if found is None:
        raise JetmeshError(
            f"Nothing is stored of {spec.title} {key!r}.",
            remedy=f"jetmesh state ls {spec.title} lists the keys.",
        )
    return _version(spec, found)


async def versions(control: ControlPlane, spec: StateSpec, key: str) -> AsyncIterator[Version]:
    """All that is kept of a key, the oldest first.

    Raises:
        ApiError, BrokerError: as `keys`.
    """
    async for message in control.history(spec.stream, [f"{spec.subject}.{escape_key(key)}"]):
        yield _version(spec, message)


def applied_in(message: StoredMessage) -> Applied:
    """The inputs that a step says were taken in; none where somebody typed it."""
    try:
        return applied_of(wire.legible(message.headers.get(header.APPLIED, "")))
    except msgspec.DecodeError:
        return Applied()


def _version(spec: StateSpec, message: StoredMessage) -> Version:
    cause = cause_of(message.cause_id)
    try:
        following = len(following_of(wire.legible(message.headers.get(header.FOLLOWING, ""))))
    except msgspec.DecodeError:
        following = 0
    return Version(
        id=message.place,
        stored_at=message.stored_at,
        state=as_json(spec, message.payload, message.headers) if message.payload else "",
        cause=cause.place if cause else "",
        waiting=len(applied_in(message).waiting),
        following=following,
    )
