"""What is stored of a handler's messages: the newest ones, and what really came of each.

All is read in streams, for none is asked alone but where nothing of its own is found.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from msgspec import Struct

from jetmesh.declare import EventSpec, Handler, escape_key, key_of, matches
from jetmesh.errors import BrokerError, ContractViolation, UsageError
from jetmesh.protocol import headers as header
from jetmesh.protocol.ids import cause_of, effect_of
from jetmesh.protocol.lanes import origin_of
from jetmesh.protocol.streams import DEADLETTERS, lane_stream
from jetmesh.protocol.subjects import RETRY, deadletter_subject, lane_subject
from jetmesh.protocol.times import is_same_time, nanoseconds_of, time_text
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.reader import reader_of
from jetmesh.transport.stored import NOT_FOUND, ApiError, StoredMessage, if_exists

_AT_ONCE: Final = 64
_SKEW_NS: Final = 60_000_000_000
"""By so much the clocks of the leaders of two streams may differ."""

Fate = Literal["made", "letter", "others", "open", "gone", "today", "nothing"]
"""It has outputs, or a letter; another message decided its key; it has no verdict yet; what came of
it is no longer stored; the state that it met is not known; or nothing was to be published.
"""


@dataclass(slots=True)
class Known:
    """One stored message, and what came of it."""

    message: StoredMessage
    outputs: list[StoredMessage] = field(default_factory=list)
    fate: Fate = "nothing"
    error: str = ""
    """The error of its letter."""


async def newest(control: ControlPlane, handler: Handler, count: int) -> list[Known]:
    """The last `count` messages of a handler's event, and what came of each.

    Raises:
        UsageError: there is no such stream.
        BrokerError: the broker does not answer.
    """
    spec = handler.input
    try:
        first = await _first_of(control, spec, count)
        reading = control.history(spec.stream, spec.filters, first=first)
        found = deque([Known(each) async for each in reading], maxlen=count)
    except ApiError as error:
        if error.code != NOT_FOUND:
            raise
        raise UsageError(
            f"There is no stream {spec.stream} on this broker, so nothing to rehearse.",
            remedy="Name the broker that holds the messages: --nats-url.",
        ) from error
    if found:
        await _look(control, handler, list(found))
    return list(found)


def read(spec: EventSpec, stored: StoredMessage) -> Struct | None:
    """The event in a stored message, None where it cannot be read."""
    try:
        event: Struct = reader_of(spec).read_stored(stored.payload, stored.headers)
    except Exception:  # noqa: BLE001 - a contract's own check may raise anything
        return None
    return event


def spec_of(handler: Handler, subject: str) -> EventSpec | None:
    """Which of a handler's outputs is published on `subject`."""
    specs = (
        spec for spec in handler.returns if any(matches(each, subject) for each in spec.filters)
    )
    return next(specs, None)


async def _first_of(control: ControlPlane, spec: EventSpec, count: int) -> int:
    """A sequence from which on there are `count` messages, or all; seldom more than twice that."""
    state = (await control.api(f"STREAM.INFO.{spec.stream}"))["state"]
    oldest, last, back = max(1, int(state["first_seq"])), int(state["last_seq"]), count
    while (first := last - back + 1) > oldest:
        if await control.count(spec.stream, spec.filters, first=first) >= count:
            return first
        back *= 2
    return oldest


async def _look(control: ControlPlane, handler: Handler, several: list[Known]) -> None:
    """Find what came of each."""
    since = max(1, several[0].message.stored_ns - _SKEW_NS)
    by_sequence = {known.message.sequence: known for known in several}
    for stream in {spec.stream for spec in handler.returns}:
        filters = {f for s in handler.returns if s.stream == stream for f in _made_on(s)}
        async for message in _all(control, stream, [*filters], since=since):
            if (known := _caused(handler, by_sequence, message)) is not None:
                known.outputs.append(message)
                known.fate = "made"
    async for message in _letters(control, handler, since):
        known = _of_origin(by_sequence, message)
        if known is not None and known.fate != "made":
            known.fate, known.error = "letter", message.headers.get(header.ERROR, "")
    await _look_for_open(control, handler, by_sequence)
    await _look_for_gone(control, handler, several)
    await _look_for_others(control, handler, several)


def _made_on(spec: EventSpec) -> tuple[str, ...]:
    """Where outputs stand: of a decision also those that this build does not know any more."""
    return (f"{spec.decision}.*",) if spec.decision else spec.filters


def _caused(
    handler: Handler, by_sequence: dict[int, Known], message: StoredMessage
) -> Known | None:
    """Which message an output was made of: its id says so."""
    cause = cause_of(message.message_id)
    if cause is None or effect_of(message.message_id) != message.subject:
        return None
    if cause[:3] != (handler.service, handler.name, handler.input.stream):
        return None
    known = by_sequence.get(int(cause.sequence))
    return known if known and is_same_time(cause.stored, known.message.stored_ns) else None


def _of_origin(by_sequence: dict[int, Known], message: StoredMessage) -> Known | None:
    try:
        origin = origin_of(message.headers)
    except ValueError:
        return None
    known = by_sequence.get(int(origin.sequence))
    if known is None or origin.stream != known.message.stream:
        return None
    return known if is_same_time(origin.stored, known.message.stored_ns) else None


async def _look_for_open(
    control: ControlPlane, handler: Handler, by_sequence: dict[int, Known]
) -> None:
    """What waits on the lane, and what no verdict was heard of."""
    stream = handler.input.stream
    durable = await if_exists(control.api(f"CONSUMER.INFO.{stream}.{handler.durable}"))
    floor = durable["ack_floor"]["stream_seq"] if durable else 0
    waiting = set[int]()
    lane = [lane_subject(handler.service, handler.name, each) for each in ("*", f"*.*.{RETRY}")]
    async for message in _all(control, lane_stream(handler.service), lane, headers_only=True):
        if (known := _of_origin(by_sequence, message)) is not None:
            waiting.add(known.message.sequence)
    for sequence, known in by_sequence.items():
        if known.fate == "nothing" and (sequence > floor or sequence in waiting):
            known.fate = "open"


async def _look_for_gone(control: ControlPlane, handler: Handler, several: Iterable[Known]) -> None:
    """Of what may have been removed, as for its age, nobody can tell what it was."""
    since = 0
    for stream in {spec.stream for spec in handler.returns}:
        info = await if_exists(control.api(f"STREAM.INFO.{stream}"))
        since = max(since, _kept_since(info["state"]) if info else 0)
    for known in several:
        if known.fate == "nothing" and known.message.stored_ns < since:
            known.fate = "gone"


def _kept_since(state: dict[str, Any]) -> int:
    """From when on a stream holds everything; 0 when nothing was removed at its beginning."""
    if state["first_seq"] <= 1:
        return 0
    return nanoseconds_of(state["first_ts"]) if state["messages"] else sys.maxsize


async def _look_for_others(
    control: ControlPlane, handler: Handler, several: Iterable[Known]
) -> None:
    """Whose key another message decided."""
    deciding = next((spec for spec in handler.returns if spec.decision), None)
    left = [known for known in several if known.fate in ("nothing", "open")]
    if deciding is None or handler.input.key is None:
        return
    for start in range(0, len(left), _AT_ONCE):
        part = left[start : start + _AT_ONCE]
        decided = [_decided(control, handler.input, deciding, known.message) for known in part]
        for known, is_decided in zip(part, await asyncio.gather(*decided), strict=True):
            if is_decided:
                known.fate = "others"


async def _decided(
    control: ControlPlane, spec: EventSpec, deciding: EventSpec, message: StoredMessage
) -> bool:
    event = read(spec, message)
    if event is None:
        return False
    try:
        token = escape_key(key_of(spec, event))
    except ContractViolation:
        return False
    return await control.last(deciding.stream, f"{deciding.decision}.{token}") is not None


def _letters(control: ControlPlane, handler: Handler, since: int) -> AsyncIterator[StoredMessage]:
    subject = deadletter_subject(handler.service, handler.name, "*")
    return _all(control, DEADLETTERS, [subject], since=since, headers_only=True)


async def _all(
    control: ControlPlane,
    stream: str,
    subjects: Sequence[str],
    *,
    since: int = 0,
    headers_only: bool = False,
) -> AsyncIterator[StoredMessage]:
    """What is stored there since a time; nothing where there is no such stream yet."""
    try:
        first = await _first_since(control, stream, since) if since else 1
        reading = control.history(stream, subjects, first=first, headers_only=headers_only)
        async for message in reading:
            yield message
    except ApiError as error:
        if error.code != NOT_FOUND:
            raise


async def _first_since(control: ControlPlane, stream: str, since: int) -> int:
    """The sequence of the first message since a time, in nanoseconds since 1970.

    Only a consumer is told that; nothing is read with it.
    """
    config = {
        "ack_policy": "none",
        "deliver_policy": "by_start_time",
        "opt_start_time": time_text(since),
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": 30_000_000_000,
    }
    body = {"stream_name": stream, "config": config}
    reader = await control.api(f"CONSUMER.CREATE.{stream}", body)
    with contextlib.suppress(BrokerError):  # else it ends by itself
        await control.api(f"CONSUMER.DELETE.{stream}.{reader['name']}")
    return int(reader["delivered"]["stream_seq"]) + 1
