"""Moving lanes: out of the one stream of before 0.3, into the streams of their services (ADR-0019).

Every step can be the last one of a process: the next `jetmesh apply` goes on. What is on its way
is stored in its new stream before it is settled in the old one. A repetition is known by its id,
and by what stands in the new stream.

Processes of the version before may run meanwhile. Each message that is due is theirs or ours, as
the server deals them out; their retries arrive in the new streams, because those have the subjects.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from jetmesh import wire
from jetmesh.errors import BrokerError
from jetmesh.operate.apply.lanes_before import LanesBefore, OldDurable
from jetmesh.protocol import headers as header
from jetmesh.protocol.ids import Cause, token_of
from jetmesh.protocol.lanes import origin_of
from jetmesh.protocol.streams import LANES, lane_stream
from jetmesh.protocol.subjects import QUARANTINE, RETRY, address_of, lane_subject, lanes_of
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.position import position_of
from jetmesh.transport.pull import Pull
from jetmesh.transport.seam import Message
from jetmesh.transport.stored import DECIDED, ApiError, StoredMessage

_AT_ONCE: Final = 256
_LOOK_SECONDS: Final = 0.1
_SPARE_SECONDS: Final = 5.0
_SHORT_NS: Final = 1_000_000_000
"""An ack_wait after which what nobody settles is ours."""
_OLD_LANE: Final = {"ack_policy": "explicit", "deliver_policy": "all", "max_deliver": -1}
_SCHEDULING: Final = (header.SCHEDULE, header.SCHEDULE_TARGET)


async def free(control: ControlPlane, old: LanesBefore) -> None:
    """Make `LANES` give up the subjects of the lanes that are to be moved."""
    config = {**old.config, "subjects": list(old.left)}
    if sorted(old.config["subjects"]) != sorted(old.left):
        await control.api(f"STREAM.UPDATE.{LANES}", config)


async def move(settings: NatsSettings, control: ControlPlane, old: LanesBefore) -> None:
    """Bring over what is open, and remove what is done; the lane streams are there.

    Raises:
        BrokerError: processes of the version before keep some of it; or no answer.
    """
    known = {
        identity_of(message)
        for service in old.services
        async for message in control.history(
            lane_stream(service), [lanes_of(service)], headers_only=True
        )
    }
    for service in old.services:
        await _marks(control, service)
        await _retries(control, service, known)
    durables = [*old.durables, *[await _taken(control, *each) for each in old.without_durable]]
    async with DataPlane(settings, name="jetmesh-move") as plane:
        movers = [Mover(plane, each, known) for each in durables]
        try:
            await _emptied(control, durables, movers)
        finally:
            for mover in movers:
                mover.pull.stop()
            await plane.flush()
    for service in old.services:
        await control.forget(LANES, lanes_of(service))
    if not old.others:
        await control.api(f"STREAM.DELETE.{LANES}")


class Mover:
    """Takes what is due on one lane, and acks what is stored in its new stream."""

    def __init__(self, plane: DataPlane, durable: OldDurable, known: set[str]) -> None:
        self.problem = ""
        """Why something cannot be moved."""
        self._plane = plane
        self._known = known
        self.pull: Pull = plane.inflow(
            LANES, durable.name, limit=_AT_ONCE, on_delivery=self._on_delivery
        )
        self.pull.start()

    def _on_delivery(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        at, given = position_of(reply), wire.parse(headers, exact=True).values if headers else {}
        message = StoredMessage(
            LANES, at.sequence, subject.decode(), given, payload, at.nanoseconds
        )
        copy = _Copy(lambda: self._settle(reply), self._fail)
        if identity_of(message) in self._known:
            copy.on_stored()
        else:
            self._plane.publish(subject, wire.block(headers_of(message)), payload, copy)

    def _settle(self, reply: bytes) -> None:
        self._plane.ack(reply)
        self.pull.settled()

    def _fail(self, reason: str) -> None:
        self.problem = reason


class _Copy:
    """Waits until one message is stored in its new stream (`seam.Waiter`)."""

    def __init__(self, on_stored: Callable[[], None], on_impossible: Callable[[str], None]) -> None:
        self._on_stored = on_stored
        self.on_impossible = on_impossible

    def on_stored(self, _: bytes = b"") -> None:
        self._on_stored()

    def on_duplicate(self, _: Message, __: int) -> None:
        """On a lane, which is one service's own, that is believed (ADR-0017)."""
        self._on_stored()

    def on_decided(self) -> None:
        self._on_stored()


def identity_of(message: StoredMessage) -> str:
    """What a message on a lane, its retry that waits, and a copy of either have in common."""
    address = address_of(message.subject)
    try:
        origin = origin_of(message.headers)
    except ValueError:  # typed by hand: the copy has an id of ours
        place = token_of(message.sequence, message.stored_ns)
        return message.message_id or f"{LANES}:{place}"
    service, handler = (address.service, address.handler) if address else ("", "")
    cause = Cause(service, handler, origin.stream, origin.sequence, origin.stored)
    return cause.moved(origin.attempts, origin.replays)


def headers_of(message: StoredMessage) -> dict[str, str]:
    """Those of a copy: everything but what the server did with the message so far.

    A retry that was due has lost its id: it gets the one that it has as long as it waits.
    """
    given: Mapping[str, str] = message.headers
    waits = header.SCHEDULE in given
    kept = {name: given[name] for name in given if not name.lower().startswith(header.SERVERS)}
    kept |= {name: given[name] for name in _SCHEDULING if waits and name in given}
    own = "" if waits else given.get(header.MESSAGE_ID, "")
    return {**kept, header.MESSAGE_ID: own or identity_of(message)}


async def _marks(control: ControlPlane, service: str) -> None:
    """First, so that deaths are counted on."""
    marks = lane_subject(service, "*", f"*.*.{QUARANTINE}")
    async for mark in control.history(LANES, [marks]):
        guard = {header.EXPECTED_SEQUENCE: "0"}
        try:
            await control.publish(mark.subject, mark.payload, {**headers_of(mark), **guard})
        except ApiError as error:
            if error.err_code != DECIDED:  # there is a newer one
                raise
        await control.forget(LANES, mark.subject, before=mark.sequence + 1)


async def _retries(control: ControlPlane, service: str, known: set[str]) -> None:
    """What becomes due while it is moved is due in both streams: the second is known by its id."""
    retries = lane_subject(service, "*", f"*.*.{RETRY}")
    async for retry in control.history(LANES, [retries]):
        if identity_of(retry) not in known:
            await control.publish(retry.subject, retry.payload, headers_of(retry))
        await control.forget(LANES, retry.subject, before=retry.sequence + 1)


async def _taken(control: ControlPlane, service: str, handler: str) -> OldDurable:
    """A durable for a lane that had lost its own."""
    name = f"moving-{service}-{handler}"
    config = {
        **_OLD_LANE,
        "durable_name": name,
        "filter_subject": lane_subject(service, handler, "*"),
        "ack_wait": 30 * _SHORT_NS,
    }
    body = {"stream_name": LANES, "config": config}
    await control.api(f"CONSUMER.CREATE.{LANES}.{name}", body)
    return OldDurable(name, service, handler, config, 0)


async def _emptied(control: ControlPlane, durables: list[OldDurable], movers: list[Mover]) -> None:
    """Return once nothing is open; what a process does not settle in time is taken from it.

    Raises:
        BrokerError: something stays.
    """
    patience = max((each.config["ack_wait"] for each in durables), default=0) / 1e9
    if await _is_open(control, durables, patience + _SPARE_SECONDS):
        # whoever has it prolongs it, as in an outage: that may go on for ever
        for each in durables:
            await _shorten(control, each)
        left = await _is_open(control, durables, _SPARE_SECONDS)
        problem = next((mover.problem for mover in movers if mover.problem), "")
        if left:
            raise BrokerError(
                f"{left} on lanes could not be moved out of {LANES}"
                f"{f' ({problem})' if problem else ''}: processes of the version before have it.",
                remedy="Nothing is lost: run jetmesh apply again, once they have ended.",
            ) from TimeoutError()


async def _is_open(control: ControlPlane, durables: list[OldDurable], within: float) -> int:
    """Messages that are not settled after so many seconds, at the latest."""
    until = time.monotonic() + within
    while True:
        infos = [await control.api(f"CONSUMER.INFO.{LANES}.{each.name}") for each in durables]
        left: int = sum(info["num_pending"] + info["num_ack_pending"] for info in infos)
        if not left or time.monotonic() > until:
            return left
        await asyncio.sleep(_LOOK_SECONDS)


async def _shorten(control: ControlPlane, durable: OldDurable) -> None:
    config: dict[str, Any] = {**durable.config, "ack_wait": _SHORT_NS}
    body = {"stream_name": LANES, "config": config, "action": "update"}
    await control.api(f"CONSUMER.CREATE.{LANES}.{durable.name}", body)
