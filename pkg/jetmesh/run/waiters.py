"""What waits for a letter to be stored before its delivery has its verdict (`seam.Waiter`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetmesh.run.letters import without_payload
from jetmesh.run.outputs import Message

if TYPE_CHECKING:
    from jetmesh.run.delivered import Delivered


class Terminate:
    """Waits for a dead letter."""

    __slots__ = ("_delivered", "_letter")

    def __init__(self, delivered: Delivered, letter: Message) -> None:
        self._delivered = delivered
        self._letter = letter

    def on_stored(self) -> None:
        self._delivered.consumer.terminate(self._delivered, "dead-lettered")

    on_decided = on_stored

    def on_impossible(self, reason: str) -> None:
        if self._letter[2]:
            self._letter = without_payload(self._letter)
            self._delivered.consumer.publish(self._letter, self)
        else:
            self._delivered.consumer.keep_pending(self._delivered, reason)


class Acknowledge:
    """Waits for the mark of a refused outcome."""

    __slots__ = ("_delivered",)

    def __init__(self, delivered: Delivered) -> None:
        self._delivered = delivered

    def on_stored(self) -> None:
        self._delivered.consumer.acknowledge(self._delivered)

    on_decided = on_stored

    def on_impossible(self, reason: str) -> None:  # noqa: ARG002 - a mark is worth no retry
        self._delivered.consumer.acknowledge(self._delivered)
