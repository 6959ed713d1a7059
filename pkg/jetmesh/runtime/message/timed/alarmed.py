"""The delivery of an alarm: the time of a deadline has come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jetmesh import wire
from jetmesh.declare import unescape_key
from jetmesh.protocol import headers as header
from jetmesh.protocol.deadlines import Deadline, deadline_of
from jetmesh.runtime.message.delivered import Durable, LaneDelivered

_RINGS: Final = f"\n{header.DEADLINE}:".encode()


class Alarmed(LaneDelivered):
    """It stands for the message whose handler asked to be woken, and carries what comes of it."""

    __slots__ = ("deadline",)
    deadline: Deadline

    def __init__(
        self,
        durable: Durable,
        deadline: Deadline,
        subject: bytes,
        reply: bytes,
        headers: bytes,
        payload: bytes,
        values: Mapping[str, str],
    ) -> None:
        super().__init__(durable, subject, reply, headers, payload, values)
        self.deadline = deadline
        self.misread = None  # a handler may take over what another one asked for

    @property
    def key(self) -> str:
        return unescape_key(self.deadline.key)


def on_lane(
    durable: Durable, subject: bytes, reply: bytes, headers: bytes, payload: bytes
) -> LaneDelivered:
    """A delivery from a lane: an alarm, or a message that comes again."""
    values = wire.parse(headers).values
    about = durable, subject, reply, headers, payload, values
    if _RINGS not in headers:
        return LaneDelivered(*about)
    try:
        deadline = deadline_of(values[header.DEADLINE])
    except (KeyError, ValueError) as error:
        delivered = LaneDelivered(*about)
        delivered.misread = ValueError(str(error))
        return delivered
    return Alarmed(durable, deadline, *about[1:])
