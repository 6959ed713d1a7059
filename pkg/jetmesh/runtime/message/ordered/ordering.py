"""Verdicts on deliveries that are handled in order: each is written in its key's cursor first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from jetmesh.errors import Retry
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.verdicts import Verdicts
from jetmesh.transport.reader import NewerVersion


class Lines(Protocol):
    """Who keeps the order: `order.Order`."""

    def handled(self, delivered: Delivered) -> bool:
        """A delivery was handled; False when it is of no line, and may be acked."""

    def left(self, delivered: Delivered, settle: Callable[[], None]) -> None:
        """A delivery is on the lane, or a letter."""

    def settled(self, delivered: Delivered) -> None:
        """A delivery has its verdict, whichever that is."""


class OrderedVerdicts(Verdicts):
    """As `Verdicts`, with an order that is told before the server is."""

    order: Lines
    """Set by the order itself."""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.part = self._part
        self.put_off = self._put_off

    def hold(self, delivered: Delivered) -> bool:
        """Keep a delivery until its verdict; False when its message is in flight already."""
        before = self.in_flight.get(delivered.slot)
        is_held = super().hold(delivered)
        if is_held and before is not None:  # of a stream that was deleted: its turn is over
            self.order.settled(before)
        return is_held

    def acknowledge(self, delivered: Delivered) -> None:
        """Everything that the delivery caused is stored."""
        if delivered.held and not self.order.handled(delivered):
            super().acknowledge(delivered)

    def release(self, delivered: Delivered) -> None:
        """Ack a delivery of which the cursor knows."""
        super().acknowledge(delivered)

    def _put_off(self, delivered: Delivered, newer: NewerVersion, delay: float) -> None:
        """Park its key: it comes again from the lane as what failed does, but was no attempt.

        No state is told before, as of a failure: this code may not know the state's version.
        """
        text = str(newer)
        self._on_lane(delivered, Retry(text, counts=False), text, delay)

    def _part(self, delivered: Delivered, settle: Callable[[], None]) -> None:
        self.order.left(delivered, settle)

    def _settle(self, delivered: Delivered) -> None:
        super()._settle(delivered)
        self.order.settled(delivered)
