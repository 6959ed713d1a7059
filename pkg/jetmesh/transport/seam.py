"""The seam between `runtime/` and the network: synchronous, so that no message costs a coroutine.

`jetmesh.transport.dataplane` implements it on a real connection; whatever else implements it
must pass the same conformance suite (ADR-0004).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from jetmesh.transport.turns import Turns

OnDelivery = Callable[[bytes, bytes, bytes, bytes], None]
"""(subject, reply, headers, payload) of one delivery; `reply` is what verdicts are sent to. It
raises ValueError or IndexError where that is none of its durable's.
"""

Message: TypeAlias = tuple[bytes, bytes, bytes]
"""Subject, headers, payload: a plain tuple, because one is made for every message."""


class Waiter(Protocol):
    """Waits for the fate of one publish; exactly one of its methods is called, once."""

    def on_stored(self, answer: bytes) -> None:
        """The server stored the message; `answer` is its PubAck, or empty where its fate was found
        out another way.
        """

    def on_duplicate(self, message: Message, sequence: int) -> None:
        """The server has a message with this id already: the first one of it is `sequence`.

        Whose that is, and on which subject, the server does not look at; `message` is ours.
        """

    def on_decided(self) -> None:
        """A decision refused it (10071): the key has an outcome already, ours or another's."""

    def on_impossible(self, reason: str) -> None:
        """No server will ever store it, as when it is larger than its stream allows."""


class Inflow(Protocol):
    """The continuous pull of one durable."""

    @property
    def problem(self) -> str:
        """Why nothing can arrive, in words; empty when all is well."""

    @property
    def muted(self) -> str:
        """Why verdicts are refused, in words: run nothing until they are taken again."""

    @property
    def rests(self) -> bool:
        """Whether nothing arrived for half a minute, although nothing speaks against it."""

    def start(self) -> None:
        """Begin to pull."""

    def limit_to(self, limit: int) -> None:
        """Have at most `limit` deliveries asked for or unsettled, and no more than at first."""

    def check(self, reply: bytes) -> None:
        """Raises ValueError: no verdict on a delivery of this durable is sent there."""

    def settled(self) -> None:
        """One delivery has its verdict: there is room for another."""

    def stop(self) -> None:
        """Pull no more; what the server sent already still arrives."""


class Transport(Protocol):
    """What a running service needs of the network, message by message."""

    turns: Turns
    """Who shares the event loop with what arrives."""

    def inflow(
        self,
        stream: str,
        durable: str,
        *,
        limit: int,
        first: int = 0,
        on_delivery: OnDelivery,
        on_muted: Callable[[], None] | None = None,
    ) -> Inflow:
        """Pull from a durable, with at most `limit` deliveries asked for or unsettled.

        `first`: with how many it begins; 0 is all of them. `on_muted` is called when verdicts are
        refused, and when they are taken again.
        """

    def publish(self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter) -> None:
        """Publish until its fate is known: again after every silence and passing refusal."""

    def ack(self, reply: bytes) -> None:
        """Settle a delivery: handled."""

    def retry(self, reply: bytes, delay: float) -> None:
        """Settle a delivery: again in `delay` seconds."""

    def terminate(self, reply: bytes, reason: str) -> None:
        """Settle a delivery: never again."""

    def progress(self, reply: bytes) -> None:
        """Keep a delivery for another ack_wait: its handler still works."""
