"""Where handlers are rehearsed: the way of a real message, with nothing behind the seam.

What would be published is kept, verdicts end there, and no question finds anything decided.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from msgspec.structs import replace as replace_fields

from jetmesh import wire
from jetmesh.declare import Duration, Handler, Policy, Service
from jetmesh.errors import Unavailable
from jetmesh.protocol import headers as header
from jetmesh.protocol.acks import ACK, numbers_of
from jetmesh.protocol.ids import cause_of, token_of
from jetmesh.runtime.message.belief import Evidence
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.quarantine import Quarantine
from jetmesh.runtime.message.runner import HandlerRunner
from jetmesh.transport.outcomes import Outcomes
from jetmesh.transport.reader import NewerVersion
from jetmesh.transport.seam import OnDelivery, Waiter, utc_now
from jetmesh.transport.stored import StoredMessage
from jetmesh.transport.turns import Turns

_MOST: Final = 256
"""Messages that are handled at once, at the most: each `async def` handler has its concurrency."""
_SHARE: Final = 64
"""After so many the event loop has its turn."""
_EXCUSED: Final = sys.maxsize
"""Of a delivery that called its dependency away: it fails, nobody tries until it is back."""


@dataclass(slots=True)
class Result:
    """What became of one message."""

    outputs: list[tuple[str, bytes]] = field(default_factory=list)
    """Subject and payload of each event that would be published."""
    failure: Mapping[str, str] | None = None
    """The headers of the letter or retry that would be, such as error, text and line."""
    waits: bool = False
    """It failed because something that it needs is not there."""
    ended: str = ""
    """`acked`, `terminated` or `again`."""


class Stage:
    """One handler, given messages one by one (`seam.Transport`)."""

    def __init__(self, service: Service, handler: Handler, policy: Policy) -> None:
        self.turns = Turns()
        self.turns.until = math.inf  # nobody else needs the loop
        self.lookups = _Nothing()
        self.problem = ""
        self.results: dict[str, Result] = {}
        """By the token of the message's origin."""
        self._room = asyncio.Event()
        self._deliver: OnDelivery
        self._handler = handler
        self._consumer = Consumer(
            replace(handler, lost=None, ordered=False),  # what is rehearsed comes in order
            version=service.version,
            policy=replace_fields(policy, attempts=1, max_age=Duration(0)),
            transport=self,
            evidence=Evidence(self.lookups, Outcomes.of(service)),
            injected={},
            quarantine=Quarantine(_no_marks, list),
            runner=partial(_Runner, on_wait=self._wait),
        )

    async def play(self, messages: Iterable[StoredMessage]) -> AsyncIterator[int]:
        """Have every message handled; tells now and then how many were."""
        in_flight = self._consumer.in_flight
        for number, message in enumerate(messages, 1):
            while len(in_flight) >= _MOST:
                self._room.clear()
                await self._room.wait()
            self.results[token_of(message.sequence, message.stored_ns)] = Result()
            headers = wire.block(message.headers) if message.headers else b""
            subject = message.subject.encode()
            self._deliver(subject, self._reply(message), headers, message.payload)
            if not number % _SHARE:
                yield number
                await asyncio.sleep(0)
        while in_flight:
            self._room.clear()
            await self._room.wait()
        await self._consumer.give_back()

    def _reply(self, message: StoredMessage) -> bytes:
        """As the server writes it with a first delivery, so that all ids are as they were."""
        numbers = f"1.{message.sequence}.{message.sequence}.{message.stored_ns}.0"
        return f"{ACK}{self._handler.input.stream}.{self._handler.durable}.{numbers}".encode()

    def _of(self, reply: bytes) -> Result:
        _, sequence, _, stored, _ = numbers_of(reply)
        return self.results[f"{sequence.decode()}-{stored.decode()}"]

    def _wait(self, delivered: Delivered) -> None:
        self._of(delivered.reply).waits = True

    # seam.Transport

    def inflow(
        self,
        stream: str,
        durable: str,  # noqa: ARG002 - the seam has it
        *,
        on_delivery: OnDelivery,
        **_: Any,
    ) -> _Inflow:
        if stream == self._handler.input.stream:
            self._deliver = on_delivery
        return _Inflow(self._room.set)

    now = staticmethod(utc_now)

    def drop(self, inflow: Any) -> None:
        """Nothing arrives by itself."""

    def publish(self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter) -> None:
        values = wire.parse(headers).values
        cause = cause_of(values[header.MESSAGE_ID])
        assert cause is not None  # noqa: S101 - whatever a handler's way publishes has such an id
        result = self.results[cause.token]
        if header.ERROR in values:
            result.failure = values
        elif not values.keys() & {header.SCHEDULE, header.SCHEDULER}:
            result.outputs.append((subject.decode(), payload))  # what comes later is none yet
        waiter.on_stored(b"")

    def ack(self, reply: bytes) -> None:
        self._of(reply).ended = "acked"

    def retry(self, reply: bytes, _delay: float) -> None:
        error, _, text = self._consumer.stats.last_error.partition(": ")
        self._of(reply).failure = {header.ERROR: error, header.MESSAGE: text}
        self._of(reply).ended = "again"

    def terminate(self, reply: bytes, _reason: str) -> None:
        self._of(reply).ended = "terminated"

    def progress(self, reply: bytes) -> None:
        """Nobody waits."""


class _Runner(HandlerRunner):
    """It waits for nothing that is away, newer code included."""

    def __init__(self, *parts: Any, on_wait: Callable[[Delivered], None], **more: Any) -> None:
        super().__init__(*parts, **more)
        self._on_wait = on_wait
        self._plain_call, self.call = self.call, self._at_its_time

    def _at_its_time(self, delivered: Delivered) -> Any:
        """The time is the one at which the message was stored, as near as is known."""
        stored_at = delivered.origin.stored_at
        delivered.durable = replace(delivered.durable, now=lambda: stored_at)
        return self._plain_call(delivered)

    def _judge(self, delivered: Delivered, failure: BaseException) -> None:
        if isinstance(failure, Unavailable | NewerVersion):
            delivered.excuses = _EXCUSED
            self._on_wait(delivered)
        if isinstance(failure, NewerVersion):
            self._verdicts.failed(delivered, failure)
        else:
            super()._judge(delivered, failure)


class _Inflow:
    """Nothing arrives by itself (`seam.Inflow`)."""

    problem = muted = ""
    rests = False

    def __init__(self, on_settled: Callable[[], None]) -> None:
        self.settled = on_settled

    def start(self) -> None: ...

    def limit_to(self, limit: int) -> None: ...

    def check(self, reply: bytes) -> None: ...

    def stray(self, reply: bytes) -> None: ...

    def stop(self) -> None: ...


class _Nothing:
    """Nothing is stored (`seam.Looks`): what really is, would keep handlers from running."""

    async def last(self, stream: str, subject: str) -> None: ...

    async def since(self, stream: str, subject: str, sequence: int) -> None: ...

    async def newest(self, stream: str, subject: str) -> None: ...


def _no_marks() -> Any:
    raise AssertionError("nothing that is rehearsed was ever lost")
