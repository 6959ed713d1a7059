"""What is remembered: the states of keys as their streams hold them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec
from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import StateSpec, Topology, escape_key, unescape_key
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.privacy.mask import masked
from jetmesh.protocol import headers as header
from jetmesh.protocol.ids import cause_of
from jetmesh.protocol.steps import applied_of, following_of
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.reader import Reader, reader_of
from jetmesh.transport.stored import StoredMessage

_LONGEST = 4000


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
    return _version(reader_of(spec), found)


async def versions(control: ControlPlane, spec: StateSpec, key: str) -> AsyncIterator[Version]:
    """All that is kept of a key, the oldest first.

    Raises:
        ApiError, BrokerError: as `keys`.
    """
    reader = reader_of(spec)
    subject = f"{spec.subject}.{escape_key(key)}"
    async for message in control.history(spec.stream, [subject]):
        yield _version(reader, message)


def _version(reader: Reader, message: StoredMessage) -> Version:
    headers = {name: wire.legible(value) for name, value in message.headers.items()}
    cause = cause_of(message.cause_id)
    try:
        waiting = len(applied_of(headers.get(header.APPLIED, "")).waiting)
        following = len(following_of(headers.get(header.FOLLOWING, "")))
    except msgspec.DecodeError:
        waiting = following = 0
    return Version(
        id=f"{message.stream}:{message.sequence}",
        stored_at=message.stored_at,
        state=_readable(reader, message),
        cause=f"{cause.stream}:{cause.sequence}" if cause else "",
        waiting=waiting,
        following=following,
    )


def _readable(reader: Reader, message: StoredMessage) -> str:
    if not message.payload:
        return ""
    try:
        state = reader.read_stored(message.payload, message.headers)
    except Exception as error:  # noqa: BLE001 - a contract's own check may raise anything
        return f"cannot be read: {masked(str(error))}"
    return masked(msgspec.json.encode(state).decode(), state, longest=_LONGEST)
