"""What waits for a letter to be stored before its delivery has its verdict (`seam.Waiter`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from jetmesh.runtime.message.letters import without_payload
from jetmesh.runtime.message.outputs import Message
from jetmesh.transport.seam import Waiter

if TYPE_CHECKING:
    from jetmesh.runtime.message.delivered import Delivered

Publish: TypeAlias = Callable[[bytes, bytes, bytes, Waiter], None]


class Terminate:
    """Waits for a dead letter."""

    __slots__ = ("_delivered", "_letter", "_publish")

    def __init__(self, delivered: Delivered, letter: Message, publish: Publish) -> None:
        self._delivered = delivered
        self._letter = letter
        self._publish = publish

    def on_stored(self) -> None:
        self._delivered.consumer.verdicts.terminate(self._delivered, "dead-lettered")

    on_decided = on_stored

    def on_impossible(self, reason: str) -> None:
        if self._letter[2]:
            self._letter = without_payload(self._letter)
            self._publish(*self._letter, self)
        else:
            self._delivered.consumer.verdicts.keep_pending(self._delivered, reason)


class Postpone:
    """Waits for a retry on the lane."""

    __slots__ = ("_delay", "_delivered")

    def __init__(self, delivered: Delivered, delay: float) -> None:
        self._delivered = delivered
        self._delay = delay

    def on_stored(self) -> None:
        self._delivered.consumer.verdicts.postponed(self._delivered)

    on_decided = on_stored

    def on_impossible(self, reason: str) -> None:  # noqa: ARG002 - too large for the lane, it was not for its stream
        self._delivered.consumer.verdicts.retry_in_place(self._delivered, self._delay)


class Acknowledge:
    """Waits for the mark of a refused outcome."""

    __slots__ = ("_delivered",)

    def __init__(self, delivered: Delivered) -> None:
        self._delivered = delivered

    def on_stored(self) -> None:
        self._delivered.consumer.verdicts.acknowledge(self._delivered)

    on_decided = on_stored

    def on_impossible(self, reason: str) -> None:  # noqa: ARG002 - a mark is worth no retry
        self._delivered.consumer.verdicts.acknowledge(self._delivered)
