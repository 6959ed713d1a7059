"""Where processes stand: what their states' messages say, even where this code cannot read them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import Topology, escape_key, unescape_key
from jetmesh.declare.process import Process
from jetmesh.operate.deadlines.waiting import OVERDUE
from jetmesh.operate.humanize import span
from jetmesh.operate.processes.flow import Flow, flows
from jetmesh.operate.states import applied_in
from jetmesh.protocol import headers as header
from jetmesh.protocol.deadlines import pending_of
from jetmesh.protocol.times import time_at
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.reader import reader_of
from jetmesh.transport.stored import ApiError, StoredMessage

_MOST: Final = 50_000
"""Processes of a state that the doctor looks through."""


class Standing(Struct, frozen=True):
    """One process."""

    process: str
    """`fulfilment.orders`."""
    key: str
    step: str
    since: datetime
    """When it came to this step."""
    waits_for: tuple[str, ...]
    """The subjects of the events that lead on."""
    ended: bool
    """It may stay where it is for ever, though one of these may come."""
    until: datetime | None
    """When a deadline leads on, if nothing else does before."""
    remaining: tuple[str, ...]
    """The steps that may still come."""
    place: str
    """`STATES_FULFILMENT_ORDERS:17`, its newest message."""
    unexpected: tuple[str, ...] = ()
    """What it passed over of late, and in which step."""
    problem: str = ""
    """Why it does not go on, in words."""


def step_in(flow: Flow, message: StoredMessage) -> str | None:
    """The step that a message says; None where nothing is remembered any more."""
    if not message.payload or message.removal:
        return None
    try:
        return flow.process.step_of(
            reader_of(flow.spec).read_stored(message.payload, message.headers)
        )
    except Exception:  # noqa: BLE001 - a contract's own check may raise anything
        return raw_step(flow.process, flow.spec.type, message.payload)


def raw_step(process: Process, state_type: type[Struct], payload: bytes) -> str:
    """The step as the JSON says it, whatever else is in there."""
    try:
        found: Any = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "?"
    step = found.get(process.wire_field(state_type)) if isinstance(found, dict) else None
    return step if isinstance(step, str) else "?"


def standing(flow: Flow, message: StoredMessage) -> Standing | None:
    """What a message says of its process; None where it is forgotten."""
    step = step_in(flow, message)
    if step is None:
        return None
    applied, dues = applied_in(message), _dues(message)
    waits_for = flow.expected(step)
    until = min((due for event, due in dues if event in waits_for), default=None)
    stored = message.stored_at
    since = datetime.fromtimestamp(applied.since / 1e9, UTC) if applied.since else stored
    return Standing(
        process=flow.spec.title,
        key=unescape_key(message.subject.rpartition(".")[2]),
        step=step,
        since=since,
        waits_for=waits_for,
        ended=flow.process.is_end(step),
        until=until,
        remaining=flow.remaining(step),
        place=f"{message.stream}:{message.sequence}",
        unexpected=tuple(f"{given} in {where}" for given, where in applied.unexpected),
        problem=_problem(flow, step, until),
    )


async def all_standing(control: ControlPlane, flow: Flow) -> AsyncGenerator[Standing, None]:
    """Every process, in the order of its last change.

    Raises:
        ApiError, BrokerError: the broker has no such stream, or does not answer.
    """
    newest: dict[str, StoredMessage] = {}
    async for message in control.history(flow.spec.stream, [flow.spec.filters[-1]]):
        newest.pop(message.subject, None)  # a state may keep several versions
        newest[message.subject] = message
    for message in newest.values():
        found = standing(flow, message)
        if found is not None:
            yield found


async def stuck(control: ControlPlane, topology: Topology) -> tuple[Standing, ...]:
    """Those that do not go on, of as many as can be looked through.

    Raises:
        BrokerError: the broker does not answer.
    """
    found: list[Standing] = []
    for flow in flows(topology):
        number = 0
        try:
            async with contextlib.aclosing(all_standing(control, flow)) as several:
                async for each in several:
                    number += 1
                    found += [each] if each.problem else []
                    if number == _MOST:
                        break
        except ApiError:  # there is no such stream yet
            continue
    return tuple(found)


async def standing_of(control: ControlPlane, flow: Flow, key: str) -> Standing | None:
    """The process of a key; None where nothing is known of it.

    Raises:
        ApiError, BrokerError: as `all_standing`.
    """
    message = await control.last(flow.spec.stream, f"{flow.spec.subject}.{escape_key(key)}")
    return standing(flow, message) if message is not None else None


def _problem(flow: Flow, step: str, until: datetime | None) -> str:
    """Why nothing leads on from a step, whatever comes, or when nothing comes."""
    process = flow.process
    if step not in process.steps:
        return f"it stands in {step!r}, which is no step of this version"
    if process.is_end(step) or step in process.forever:
        return ""
    if until is None:
        return "no deadline leads on from here"
    late = (datetime.now(UTC) - until).total_seconds()
    return f"its deadline was due {span(late)} ago" if late > OVERDUE.total_seconds() else ""


def _dues(message: StoredMessage) -> list[tuple[str, datetime]]:
    """The events that are to come, and when."""
    try:
        pending = pending_of(wire.legible(message.headers.get(header.DEADLINES, "")))
    except msgspec.DecodeError:  # somebody typed it
        return []
    return [(each.event, time_at(each.due)) for each in pending]
