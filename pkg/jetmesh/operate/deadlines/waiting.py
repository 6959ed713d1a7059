"""Which deadlines wait: those that states keep, and the alarms on lane streams of those without."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import Handler, StateSpec, Topology, escape_key, unescape_key
from jetmesh.operate.stored import stored_on
from jetmesh.operate.summary import as_json
from jetmesh.protocol import headers as header
from jetmesh.protocol.deadlines import Deadline, Pending, alarms_of, deadline_at, pending_of
from jetmesh.protocol.lanes import scheduled_at
from jetmesh.protocol.streams import lane_stream
from jetmesh.protocol.times import time_at
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage

OVERDUE: Final = timedelta(seconds=30)
"""Whose time has come so long ago, and who still waits, has lost its alarm."""
_MOST: Final = 50_000
"""Stored steps of a state that are looked through for deadlines without an alarm."""


class Waiting(Struct, frozen=True):
    """A deadline that waits, as a program may read it."""

    service: str
    event: str
    """The subject of its event."""
    key: str
    name: str
    due: datetime
    overdue: bool
    """Its time has come, and nothing came of it: its alarm is lost."""
    handler: str
    """Which one asked for it."""
    cause: str
    """`ORDERS:5`, of the message that it had."""
    kept: str
    """Where it stands: `STATES_FULFILMENT_ORDERS:17`, or the alarm itself, `LANES_desk:9`."""


@dataclass(frozen=True, slots=True)
class Found:
    """One that waits, with what it takes to end it."""

    waiting: Waiting
    message: StoredMessage
    """The state's, or the alarm."""
    deadline: Deadline
    pending: Pending | None = None
    """What the state says of it."""

    @property
    def alarm(self) -> str:
        """Where its alarm waits."""
        rings = self.pending.rings if self.pending else 0
        return self.deadline.alarm(self.waiting.service, rings)


async def found(
    control: ControlPlane, topology: Topology, *, service: str = "", key: str = ""
) -> AsyncIterator[Found]:
    """Every deadline that waits now, of all services and keys or of one, in no order.

    Raises:
        ContractViolation: no event can have such a key.
        BrokerError: the broker does not answer.
    """
    token = escape_key(key) if key else "*"
    for handlers in _by_place(topology, service):
        state = handlers[0].remembers.state if handlers[0].remembers else None
        several = _in_state(control, state, handlers, token) if state else None
        async for each in several or _on_lane(control, handlers, token):
            yield each


async def overdue(control: ControlPlane, topology: Topology) -> tuple[Waiting, ...]:
    """Deadlines of states whose alarm is lost, of as many keys as can be looked through.

    Raises:
        BrokerError: the broker does not answer.
    """
    several = [
        each
        for handlers in _by_place(topology, "")
        if handlers[0].remembers
        async for each in _in_state(control, handlers[0].remembers.state, handlers, "*", most=_MOST)
    ]
    return tuple(each.waiting for each in several if each.waiting.overdue)


def _by_place(topology: Topology, service: str) -> Iterator[list[Handler]]:
    """Handlers that set deadlines, together with those that keep them in the same place."""
    places: dict[tuple[str, StateSpec | None], list[Handler]] = {}
    for handler in topology.handlers:
        if handler.deadlines.later and service in ("", handler.service):
            state = handler.remembers.state if handler.remembers else None
            places.setdefault((handler.service, state), []).append(handler)
    yield from places.values()


async def _in_state(
    control: ControlPlane, state: StateSpec, handlers: list[Handler], token: str, *, most: int = 0
) -> AsyncIterator[Found]:
    """A key of the event is looked for in all keys of the state: they may be others."""
    newest: dict[str, StoredMessage] = {}
    stream, subjects = state.stream, state.filters[-1:]
    for message in await stored_on(control, stream, subjects, most=most, headers_only=True):
        newest[message.subject] = message
    for message in newest.values():
        text = wire.legible(message.headers.get(header.DEADLINES, ""))
        try:
            pending = pending_of(text)
        except msgspec.DecodeError:
            continue  # somebody typed it, and the service says so
        for each in pending:
            if token in ("*", each.key, message.subject.rpartition(".")[2]):
                yield _kept(handlers[0].service, message, each)


async def _on_lane(
    control: ControlPlane, handlers: list[Handler], token: str
) -> AsyncIterator[Found]:
    service = handlers[0].service
    specs = dict.fromkeys(spec for each in handlers for spec in each.deadlines.later)
    for spec in specs:
        place = alarms_of(service, spec.subject, token)
        for message in await stored_on(control, lane_stream(service), [place], headers_only=True):
            if (at := deadline_at(message.subject)) and scheduled_at(message.headers):
                yield _alarm(message, *at)


def _kept(service: str, message: StoredMessage, pending: Pending) -> Found:
    deadline, origin = pending.deadline, pending.origin
    waiting = _waiting(
        service,
        deadline,
        time_at(pending.due),
        pending.handler,
        f"{origin.stream}:{origin.sequence}",
        message,
    )
    return Found(waiting, message, deadline, pending)


def _alarm(message: StoredMessage, service: str, deadline: Deadline) -> Found:
    headers = message.headers
    target = headers.get(header.SCHEDULE_TARGET, "").split(".")
    cause = f"{headers.get(header.STREAM, '')}:{headers.get(header.SEQUENCE, '')}"
    due = datetime.fromisoformat(scheduled_at(headers))
    handler = target[2] if len(target) > 2 else ""  # noqa: PLR2004 - lanes, service, handler
    return Found(_waiting(service, deadline, due, handler, cause, message), message, deadline)


def _waiting(
    service: str,
    deadline: Deadline,
    due: datetime,
    handler: str,
    cause: str,
    message: StoredMessage,
) -> Waiting:
    return Waiting(
        service=service,
        event=deadline.event,
        key=unescape_key(deadline.key),
        name="" if deadline.name == "_" else unescape_key(deadline.name),
        due=due,
        overdue=due + OVERDUE < datetime.now(UTC),
        handler=handler,
        cause=cause,
        kept=f"{message.stream}:{message.sequence}",
    )


async def event_of(control: ControlPlane, topology: Topology, each: Found) -> str:
    """The event that is to come, as JSON without what is sensitive; empty when it is gone.

    Raises:
        BrokerError: the broker does not answer.
    """
    payload, headers = bytes(each.pending.payload) if each.pending else b"", each.message.headers
    if each.pending is None:
        message = await control.message(each.message.stream, each.message.sequence)
        if message is None:
            return ""
        payload, headers = message.payload, message.headers
    spec = topology.event(each.deadline.subject)
    return as_json(spec, payload, headers) if spec else ""
