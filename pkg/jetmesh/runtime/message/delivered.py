"""One delivery between its arrival and its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any, Protocol

from jetmesh.declare import Handler, Policy, escape_key, key_of, unescape_key
from jetmesh.errors import ContractViolation
from jetmesh.protocol.acks import DOMAIN, SHORT, numbers_of
from jetmesh.protocol.deadlines import Deadline
from jetmesh.protocol.ids import Cause
from jetmesh.protocol.lanes import Origin, origin_of
from jetmesh.protocol.streams import lane_stream
from jetmesh.runtime.message.metrics import HandlerStats
from jetmesh.transport.seam import Inflow, Message, utc_now


class Outcome(Protocol):
    """Decides how a delivery goes on, once the server has said what became of its outputs."""

    def on_stored(self, delivered: Delivered) -> None:
        """Every output on its way is stored."""

    def on_duplicate(self, delivered: Delivered, message: Message, sequence: int) -> None:
        """Somebody took the id of an output before: its stream's message with this sequence."""

    def on_decided(self, delivered: Delivered) -> None:
        """The server refused a second outcome for a key."""

    def on_impossible(self, delivered: Delivered, reason: str) -> None:
        """An output can never be stored."""


class Runner(Protocol):
    """Runs the deliveries of one handler; whoever holds some back returns them to it."""

    handler: Handler

    def begin(self, delivered: Delivered) -> None:
        """Run a delivery now, or when nothing speaks against it any more."""

    async def run(self, delivered: Delivered) -> None:
        """Run a delivery, whatever else is on; returns when its handler has, however that ends.

        When who waits for that is cancelled, the handler is, too.
        """

    async def probe(self, delivered: Delivered) -> None:
        """Run a delivery to see whether its dependency works, unless another one runs alone."""

    def give_back(self, delivered: Delivered) -> None:
        """Return a delivery to the server as it came; it was no attempt."""

    def dead_letter(self, delivered: Delivered, error: BaseException) -> None:
        """Give a delivery up without running it."""


@dataclass(frozen=True, slots=True)
class Durable:
    """What all deliveries of one durable have in common."""

    handler: Handler
    policy: Policy
    version: str
    """The service's."""
    inflow: Inflow
    """Where they come from, and where a verdict makes room."""
    stats: HandlerStats
    outcome: Outcome
    now: Callable[[], datetime] = utc_now
    """The transport's clock."""


class Delivered:
    """A delivery in flight; it waits for its outputs to be stored (`seam.Waiter`)."""

    __slots__ = (
        "began",
        "durable",
        "event",
        "excuses",
        "failures",
        "headers",
        "held",
        "line",
        "noted",
        "payload",
        "pending",
        "published",
        "received",
        "reply",
        "rest",
        "returned",
        "slot",
        "subject",
        "token",
        "trace",
    )
    trace: Any
    """What tracing knows of it; not even set while tracing is off."""
    on_lane = False
    """It comes from the handler's lane, not from its event's stream."""
    brought = 0
    """Failures that are stored with it; what failed in place since then is known in memory only."""
    deadline: Deadline | None = None
    """Which one's alarm it is; None: it is a message for the handler."""
    misread: ValueError | None = None
    """Why a message on the lane stands for no other: somebody typed it by hand."""

    def __init__(
        self,
        durable: Durable,
        subject: bytes,
        reply: bytes,
        headers: bytes,
        payload: bytes,
        event: Any,
        received: float,
    ) -> None:
        self.durable = durable
        self.subject = subject
        self.reply = reply
        self.headers = headers
        self.payload = payload
        self.received = self.began = received
        tokens = reply.split(b".")  # as in `acks`, without a call for every message
        if len(tokens) != SHORT:
            del tokens[DOMAIN]
        self.slot = sequence = tokens[5]
        """Where a verdict goes, of all that is in flight: the server knows it by its sequence."""
        self.token = sequence + b"-" + tokens[7]
        """What names its origin, for ever (`Origin.token`)."""
        self.event = event
        """None when it could not be read."""
        self.held = False
        """It is in flight: it has no verdict yet, and was not given back."""
        self.failures = 0
        """Attempts that failed before this one."""
        self.noted = ""
        """As `Origin.noted`."""
        self.line = ""
        """As `Origin.line`."""
        self.returned = 0
        """The newest delivery before that failed in this process; up to it none counts as lost."""
        self.excuses = 0
        """How often it called its dependency away and was refuted by another one."""
        self.published: Any = None
        """The decision that is on its way, to be sent again should it turn out undecided."""
        self.rest: list[Any] | None = None
        """Outputs to publish once the decision is stored."""
        self.pending = 0
        """Outputs on their way."""

    @property
    def attempt(self) -> int:
        """This attempt's number, 1 for the first: failures count, lost deliveries do not."""
        return self.failures + 1

    @property
    def deliveries(self) -> int:
        """How often the server delivered the message, lost deliveries included."""
        return int(numbers_of(self.reply)[0])

    @property
    def stored_ns(self) -> int:
        """When the server stored the message, in nanoseconds since 1970."""
        return int(numbers_of(self.reply)[3])

    @property
    def name(self) -> bytes:
        """Names this stored message, also beside one of a stream before that was made again."""
        return b"%b-%d" % (self.slot, self.stored_ns)

    @property
    def origin(self) -> Origin:
        """The message that somebody published, and how it went so far."""
        return Origin(
            stream=self.durable.handler.input.stream,
            subject=self.subject.decode(errors="replace"),
            sequence=self.slot.decode(),
            stored=self.stored_ns,
            attempts=self.failures,
            noted=self.noted,
            line=self.line,
        )

    @property
    def cause(self) -> str:
        """`<stream>:<sequence>` of the origin, as people look it up."""
        return f"{self.durable.handler.input.stream}:{self.slot.decode()}"

    @property
    def identity(self) -> Cause:
        """What the ids of all that comes of it have in common."""
        handler, origin = self.durable.handler, self.origin
        return Cause(handler.service, handler.name, origin.stream, origin.sequence, origin.stored)

    @property
    def key(self) -> str:
        """The event's key, else the one that its subject tells; empty when neither does."""
        if self.event is not None:
            return key_of(self.durable.handler.input, self.event)
        return unescape_key(self._token_of_subject)

    @property
    def key_token(self) -> str:
        """The key as a token of a subject, `_` when there is none."""
        try:
            return escape_key(self.key)
        except ContractViolation:
            return "_"

    @property
    def _token_of_subject(self) -> str:
        return self.origin.subject.partition(f"{self.durable.handler.input.subject}.")[2]

    # seam.Waiter

    def on_stored(self, _: bytes = b"") -> None:
        durable = self.durable
        durable.stats.published += 1
        self.pending -= 1
        if not self.pending:
            durable.outcome.on_stored(self)

    def on_duplicate(self, message: Message, sequence: int) -> None:
        self.durable.outcome.on_duplicate(self, message, sequence)

    def on_decided(self) -> None:
        self.durable.outcome.on_decided(self)

    def on_impossible(self, reason: str) -> None:
        self.durable.outcome.on_impossible(self, reason)


class LaneDelivered(Delivered):
    """A delivery from the handler's lane: it stands for another message, its origin."""

    __slots__ = ("_origin", "brought", "misread")
    on_lane = True

    def __init__(
        self,
        durable: Durable,
        subject: bytes,
        reply: bytes,
        headers: bytes,
        payload: bytes,
        values: Mapping[str, str],
    ) -> None:
        """`values` are its headers, parsed."""
        super().__init__(durable, subject, reply, headers, payload, None, perf_counter())
        sequence = self.slot.decode()
        self.slot = b"lane." + self.slot
        self.misread = None
        try:
            self._origin = origin_of(values)
            if self._origin.stream != durable.handler.input.stream:
                raise ValueError(f"its origin is in {self._origin.stream}")  # noqa: TRY301 - as if unread
        except ValueError as error:
            self.misread = error
            stream = lane_stream(durable.handler.service)
            self._origin = Origin(
                subject.decode(errors="replace"), stream, sequence, self.stored_ns
            )
        self.token = self._origin.token.encode()
        self.failures = self.brought = self._origin.attempts
        self.noted = self._origin.noted
        self.line = self._origin.line

    @property
    def origin(self) -> Origin:
        now = self.failures, self.noted, self.line
        return self._origin._replace(attempts=now[0], noted=now[1], line=now[2])

    @property
    def cause(self) -> str:
        return f"{self._origin.stream}:{self._origin.sequence}"
