"""How a `Later` and a `Cancel` become messages on the service's own lane stream (ADR-0035).

Each stands among the outputs of its handler and is stored like any other. Of handlers that remember
the state keeps the deadlines: `ringing` has those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeAlias

import msgspec

from jetmesh import wire
from jetmesh.declare import Cancel, EventSpec, Handler, Later, escape_key, spec_of
from jetmesh.protocol import headers as header
from jetmesh.protocol.deadlines import Deadline, alarm, cancelled_subject, cancelling, name_token
from jetmesh.protocol.ids import Cause
from jetmesh.protocol.lanes import Origin
from jetmesh.protocol.streams import lane_stream
from jetmesh.protocol.subjects import lane_subject
from jetmesh.protocol.times import nanoseconds_of
from jetmesh.protocol.versions import said
from jetmesh.runtime.message.returned import UndeclaredOutput
from jetmesh.transport.seam import Message, Waiter

Publish: TypeAlias = Callable[[bytes, bytes, bytes, Waiter], None]
_encode = msgspec.json.Encoder().encode


def deadline_named(handler: Handler, value: Later[Any] | Cancel[Any]) -> tuple[Deadline, EventSpec]:
    """Which deadline a handler sets or cancels.

    Raises:
        UndeclaredOutput: its annotation does not name the event.
        ContractViolation: the key is empty or longer than 200 bytes.
    """
    kind, declared = (
        (type(value.event), handler.deadlines.later)
        if isinstance(value, Later)
        else (value.event, handler.deadlines.cancels)
    )
    spec = spec_of(kind)
    if spec is None or spec not in declared:
        told = f"{type(value).__name__}[{kind.__name__}]"
        raise UndeclaredOutput(
            f"{handler.title} returned {told}, which its annotation does not name"
        )
    name = name_token(escape_key(value.name) if value.name else "")
    return Deadline(spec.subject, escape_key(value.key), name), spec


def due_of(value: Later[Any], now: datetime) -> int:
    """When an event is to come that was returned at `now`, in nanoseconds since 1970.

    Raises:
        ContractViolation: that is behind the end of a server's time.
    """
    return nanoseconds_of(value.due(now).isoformat())


class DeadlineOutput:
    """What `outputs.Output` is for events, for all that a handler sets or cancels."""

    decision: ClassVar[None] = None
    race: ClassVar[bool] = False

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.stream = lane_stream(handler.service)
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._publish: Publish

    @property
    def publish(self) -> Publish:
        """Publish one; whoever was first with its id was we, on a lane stream that is ours."""
        return self._once

    @publish.setter
    def publish(self, publish: Publish) -> None:
        self._publish = publish

    def _once(self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter) -> None:
        self._publish(subject, headers, payload, _Once(waiter))

    def slot(self, value: Later[Any] | Cancel[Any]) -> str:
        """What only one of a delivery may be about.

        Raises:
            UndeclaredOutput, ContractViolation: as `deadline_named`.
        """
        deadline, _ = deadline_named(self._handler, value)
        return deadline.alarm(self._handler.service)

    def message(self, value: Later[Any] | Cancel[Any], token: bytes) -> Message:
        """The message that sets an alarm, or cancels one, caused by the input with this token.

        Raises:
            UndeclaredOutput, ContractViolation: as `deadline_named`, or it is due too late.
        """
        deadline, spec = deadline_named(self._handler, value)
        service, handler = self._handler.service, self._handler
        stream, (sequence, _, stored) = handler.input.stream, token.decode().partition("-")
        cause = Cause(service, handler.name, stream, sequence, int(stored or 0))
        place = deadline.alarm(service)
        if isinstance(value, Cancel):
            headers = {header.MESSAGE_ID: cause.id(f"cancel:{place}"), **cancelling(place)}
            return cancelled_subject(service).encode(), wire.block(headers), b""
        origin = Origin(deadline.subject, stream, sequence, cause.stored)
        target = lane_subject(service, handler.name, deadline.key)
        headers = {
            **said(spec.version),
            header.MESSAGE_ID: cause.id(deadline.effect),
            **alarm(deadline, target, origin, due_of(value, self.now())),
        }
        return place.encode(), wire.block(headers), _encode(value.event)


@dataclass(frozen=True, slots=True)
class _Once:
    """Passes on what becomes of a message; a repetition of it is no news (`seam.Waiter`)."""

    waiter: Waiter

    def on_stored(self, answer: bytes) -> None:
        self.waiter.on_stored(answer)

    def on_duplicate(self, _: Message, __: int) -> None:
        self.waiter.on_stored(b"")

    def on_decided(self) -> None:
        self.waiter.on_stored(b"")

    def on_impossible(self, reason: str) -> None:
        self.waiter.on_impossible(reason)
