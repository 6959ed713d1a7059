"""A message that waits in its stream: it is handled under the delivery of one before (ADR-0036)."""

from __future__ import annotations

from jetmesh import wire
from jetmesh.protocol.headers import carried
from jetmesh.protocol.lanes import Origin
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.transport.stored import StoredMessage


class Fetched(Delivered):
    """Takes over what is in flight: its verdict settles the delivery under which it is handled.

    So whatever becomes of the process, that delivery comes again, and who gets it goes on. Its own
    was acked long ago: like a message on the lane it fails to the lane, never in place.
    """

    __slots__ = ("_origin",)
    on_lane = True

    def __init__(self, held: Delivered, stored: StoredMessage) -> None:
        headers = _block(stored)
        subject = stored.subject.encode()
        since = held.received  # what holds the key for long is prolonged
        super().__init__(held.durable, subject, held.reply, headers, stored.payload, None, since)
        number = str(stored.sequence)
        self._origin = Origin(stored.subject, stored.stream, number, stored.stored_ns)
        self.slot = held.slot
        self.token = self._origin.token.encode()
        self.held = held.held
        held.held = False

    @property
    def origin(self) -> Origin:
        now = self.failures, self.noted, self.line
        return self._origin._replace(attempts=now[0], noted=now[1], line=now[2])

    @property
    def cause(self) -> str:
        return f"{self._origin.stream}:{self._origin.sequence}"


def _block(stored: StoredMessage) -> bytes:
    """Its headers, without those that cannot be written again."""
    if not stored.headers:
        return b""
    try:
        return wire.block(stored.headers)
    except ValueError:
        return wire.block(carried(stored.headers))
