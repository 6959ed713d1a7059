"""A transport without a network: a test reads what was sent, in order, and decides its fate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

from jetmesh import wire
from jetmesh.protocol.acks import is_ack
from jetmesh.transport.seam import OnDelivery, Waiter, utc_now
from jetmesh.transport.turns import Turns

STORED_NS = 1_700_000_000_123_456_789


@dataclass(frozen=True, slots=True)
class Ack:
    """Handled."""

    reply: bytes


@dataclass(frozen=True, slots=True)
class Nak:
    """Again in `delay` seconds."""

    reply: bytes
    delay: float


@dataclass(frozen=True, slots=True)
class Term:
    """Never again."""

    reply: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Still at work."""

    reply: bytes


@dataclass(slots=True, eq=False)
class Published:
    """One message on its way; the test says what becomes of it, once."""

    subject: str
    headers: dict[str, str]
    payload: bytes
    waiter: Waiter
    fate: str = ""

    def stored(self) -> None:
        """The server has it."""
        self._ends("stored")
        self.waiter.on_stored(b"")

    def duplicate(self, sequence: int = 7) -> None:
        """The server has had a message with this id."""
        self._ends("duplicate")
        block = wire.block(self.headers)
        self.waiter.on_duplicate((self.subject.encode(), block, self.payload), sequence)

    def decided(self) -> None:
        """The server refused a second outcome."""
        self._ends("decided")
        self.waiter.on_decided()

    def impossible(self, reason: str = "too large") -> None:
        """No server will ever store it."""
        self._ends("impossible")
        self.waiter.on_impossible(reason)

    def _ends(self, fate: str) -> None:
        assert not self.fate, f"{self.subject} was {self.fate} already"
        self.fate = fate


Verdict: TypeAlias = Ack | Nak | Term
Sent: TypeAlias = Verdict | Progress | Published


@dataclass(slots=True)
class Source:
    """The deliveries of one durable (`seam.Inflow`)."""

    stream: str
    durable: str
    limit: int
    on_delivery: OnDelivery
    on_muted: Callable[[], None] | None = None
    first: int = 0
    problem: str = ""
    muted: str = ""
    allowed: int = 0
    """What it was limited to."""
    arrived: int = 0
    room_made: int = 0
    steps: list[str] = field(default_factory=list)
    """What was asked of it, in order."""
    _count: count[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.allowed = self.limit

    def mute(self, reason: str) -> None:
        """Refuse verdicts, or with an empty reason take them again."""
        self.muted = reason
        if self.on_muted is not None:
            self.on_muted()

    @property
    def unsettled(self) -> int:
        """Deliveries that still take room."""
        return self.arrived - self.room_made

    @property
    def rests(self) -> bool:
        return False

    def start(self) -> None:
        self.steps.append("start")

    def check(self, reply: bytes) -> None:
        if not is_ack(reply, self.stream, self.durable):
            raise ValueError(reply)

    def limit_to(self, limit: int) -> None:
        self.allowed = min(limit, self.limit)

    def settled(self) -> None:
        self.room_made += 1
        assert self.unsettled >= 0, "more room was made than was taken"

    def stray(self, reply: bytes) -> None:
        raise AssertionError(reply)

    def stop(self) -> None:
        self.steps.append("stop")

    def reply(
        self, sequence: int, number: int = 1, *, stored_ns: int = STORED_NS, domain: str = ""
    ) -> bytes:
        """The ack subject of a delivery; every one is another."""
        numbers = f"{number}.{sequence}.{next(self._count)}.{stored_ns}.0"
        if domain:
            return f"$JS.ACK.{domain}.ACCOUNT.{self.stream}.{self.durable}.{numbers}.r4nd".encode()
        return f"$JS.ACK.{self.stream}.{self.durable}.{numbers}".encode()

    def deliver(self, subject: str, reply: bytes, payload: bytes, headers: bytes = b"") -> None:
        """Hand a message over, as the connection does."""
        self.arrived += 1
        self.on_delivery(subject.encode(), reply, headers, payload)


def leave_open(_: Published) -> None:
    """Nothing is known yet."""


class Wire:
    """Hears everything (`seam.Transport`); `fate` may settle a publish at once."""

    def __init__(self, fate: Callable[[Published], None] = leave_open) -> None:
        self.fate = fate
        self.turns = Turns()
        self.turns.until = math.inf
        self.lookups: Any = None
        self.problem = ""
        self.sent: list[Sent] = []
        self.sources: dict[str, Source] = {}
        """By their stream."""

    # what the test reads

    @property
    def verdicts(self) -> list[Verdict]:
        return [each for each in self.sent if isinstance(each, Ack | Nak | Term)]

    @property
    def published(self) -> list[Published]:
        return [each for each in self.sent if isinstance(each, Published)]

    @property
    def pending(self) -> list[Published]:
        """What was published, and has no fate yet."""
        return [each for each in self.published if not each.fate]

    @property
    def prolonged(self) -> list[bytes]:
        return [each.reply for each in self.sent if isinstance(each, Progress)]

    # seam.Transport

    def inflow(
        self,
        stream: str,
        durable: str,
        *,
        limit: int,
        first: int = 0,
        on_delivery: OnDelivery,
        on_gone: Callable[[str], None] | None = None,  # noqa: ARG002 - the seam has it
        on_muted: Callable[[], None] | None = None,
    ) -> Source:
        made = self.sources[stream] = Source(stream, durable, limit, on_delivery, on_muted, first)
        return made

    now = staticmethod(utc_now)

    def drop(self, inflow: Source) -> None:
        inflow.stop()

    def publish(self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter) -> None:
        made = Published(subject.decode(), wire.parse(headers).values, payload, waiter)
        self.sent.append(made)
        self.fate(made)

    def ack(self, reply: bytes) -> None:
        self.sent.append(Ack(reply))

    def retry(self, reply: bytes, delay: float) -> None:
        self.sent.append(Nak(reply, delay))

    def terminate(self, reply: bytes, reason: str) -> None:
        self.sent.append(Term(reply, reason))

    def progress(self, reply: bytes) -> None:
        self.sent.append(Progress(reply))
