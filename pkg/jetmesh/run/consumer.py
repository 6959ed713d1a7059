"""Consume, decode, handle, publish, ack: the path of every message.

Nothing that a healthy message meets here is a coroutine, a task or a log line, unless its
handler is `async def`. Every delivery ends in exactly one verdict.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, Final

import msgspec
import structlog

from jetmesh.declare import Handler, Policy, escape_key
from jetmesh.errors import BrokerError, ContractViolation, Reject, Retry
from jetmesh.run.delivered import Delivered, LiveDelivery
from jetmesh.run.letters import dead_letter, refusal, unreadable, where
from jetmesh.run.mask import masked, text_of
from jetmesh.run.metrics import HandlerStats
from jetmesh.run.outputs import ConflictingOutputs, Outputs, UndeclaredOutput
from jetmesh.run.waiters import Acknowledge, Terminate
from jetmesh.transport.control import StoredMessage
from jetmesh.transport.seam import Transport

LookUp = Callable[[str, str], Awaitable[StoredMessage | None]]
"""(stream, subject filter) to the newest message stored there, read from the leader."""

_FINAL: Final = (Reject, ContractViolation, UndeclaredOutput, ConflictingOutputs)
"""Trying again cannot help."""
_GIVE_BACK_SECONDS: Final = 0.1
_UNDECIDED_SECONDS: Final = 0.5
_CANCEL_SECONDS: Final = 1.0
_LONGEST_RETRY: Final = 365 * 86_400.0


class Consumer:
    """One handler at work on its durable."""

    def __init__(
        self,
        handler: Handler,
        *,
        version: str,
        policy: Policy,
        transport: Transport,
        look_up: LookUp,
        supplied: Mapping[str, Any],
    ) -> None:
        self.handler = handler
        self.policy = policy
        self.stats = HandlerStats()
        self.in_flight: dict[bytes, Delivered] = {}
        """Deliveries without a verdict, by the sequence of their message."""
        self._version = version
        self._transport = transport
        self._publish = transport.publish
        self._send_ack = transport.ack
        self._look_up = look_up
        self._decode = msgspec.json.Decoder(handler.input.type).decode
        self._key = handler.input.key
        self._outputs = Outputs(handler)
        self._output_of = self._outputs.by_type.get
        self._function = handler.function
        self._supplied = dict(supplied)
        self._tells = handler.delivery
        self._plain = not supplied and handler.delivery is None
        self._tasks: set[asyncio.Task[None]] = set()
        self._giving_back = False
        self.unstorable = ""
        """Why the newest dead letter could not be stored; empty when all could."""
        self.ack_start = f"$JS.ACK.{handler.input.stream}.{handler.durable}.".encode()
        """How the ack subject of a delivery begins; its numbers follow."""
        self._log = structlog.get_logger().bind(handler=handler.name)
        limit = policy.concurrency if handler.is_async else policy.batch
        self.inflow = transport.inflow(
            handler.input.stream,
            handler.durable,
            limit=min(limit, policy.max_ack_pending),
            on_delivery=self._start if handler.is_async else self._handle,
        )
        self._on_settled = self.inflow.settled

    # arrival

    def _handle(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        """Run a `def` handler, here and now."""
        received = perf_counter()
        self.stats.delivered += 1
        event, result, failure = None, None, None
        try:
            event = self._decode(payload)
            if self._key is not None:
                escape_key(getattr(event, self._key))  # refuses a key that cannot be one
            if self._plain:
                result = self._function(event)
            else:
                told = Delivered(self, subject, reply, headers, payload, event, received)
                result = self._call(told)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a handler raises ends in a verdict
            failure = error
        if result is None and failure is None:
            self._ack(reply, received)
            return
        delivered = self._hold(Delivered(self, subject, reply, headers, payload, event, received))
        if delivered is not None:
            self._conclude(delivered, result, failure)

    def _start(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        """Run an `async def` handler beside others."""
        self.stats.delivered += 1
        event, failure = None, None
        try:
            event = self._decode(payload)
            if self._key is not None:
                escape_key(getattr(event, self._key))
        except Exception as error:  # noqa: BLE001 - as above
            failure = error
        delivered = self._hold(
            Delivered(self, subject, reply, headers, payload, event, perf_counter())
        )
        if delivered is None:
            return
        if failure is not None:
            self._conclude(delivered, None, failure)
        else:
            self._run(self._effect(delivered))

    def _hold(self, delivered: Delivered) -> Delivered | None:
        """Keep a delivery until its verdict, None when its message is in flight already.

        It may be delivered again while we work on it, as after a lost connection: one run is
        enough, and its verdict belongs to the newest delivery.
        """
        running = self.in_flight.setdefault(delivered.sequence, delivered)
        if running is delivered:
            return delivered
        running.reply = delivered.reply
        running.meta = delivered.meta
        self._on_settled()
        return None

    def _call(self, delivered: Delivered) -> Any:
        if self._tells is None:
            return self._function(delivered.event, **self._supplied)
        told = {self._tells: LiveDelivery(delivered)}
        return self._function(delivered.event, **told, **self._supplied)

    def _conclude(
        self, delivered: Delivered, result: Any, failure: BaseException | None = None
    ) -> None:
        """Publish what the handler returned, or judge what it raised."""
        if failure is None:
            try:
                output = self._output_of(type(result))
                if output is not None:
                    delivered.published = result
                    delivered.pending = 1
                    self._publish(*output.message(result, delivered.sequence), delivered)
                else:
                    self._publish_all(delivered, self._outputs.ordered(result))
            except Exception as error:  # noqa: BLE001 - it cannot be published: its handler's fault
                failure = error
        if failure is not None:
            if delivered.event is None:
                failure = unreadable(self.handler.input, delivered.payload, failure)
            self._failed(delivered, failure)

    async def _effect(self, delivered: Delivered) -> None:
        """Run an `async def` handler, unless its outcome is stored already.

        It looks on every delivery: on one server even a confirmed ack can be lost and come back
        as a first delivery, and an effect should not happen twice for it.
        """
        result, failure = None, None
        try:
            if await self._is_decided(delivered):
                return
            async with asyncio.timeout(self.policy.timeout):
                result = await self._call(delivered)
        except asyncio.CancelledError as error:
            if not self._giving_back:  # it cancelled itself: nobody else will settle it
                self._failed(delivered, error)
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            failure = error
        self._conclude(delivered, result, failure)

    async def _is_decided(self, delivered: Delivered) -> bool:
        """Settle a delivery whose key has its outcome, before any effect."""
        deciding = self._outputs.deciding
        if deciding is None or self._key is None:
            return False
        wanted = deciding.decision_filter(delivered.key_token)
        try:
            stored = await self._look_up(deciding.stream, wanted)
        except BrokerError as error:  # no fault of the message: it is never given up for it
            self._retry(delivered, error, masked(text_of(error)))
            return True
        if stored is None or (self._outputs.has_more and self._is_ours(delivered, stored)):
            return False
        self._settle_decided(delivered, stored, wanted)
        return True

    def _run(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # outputs

    def _publish_all(self, delivered: Delivered, values: list[Any]) -> None:
        """Publish a decision alone and the rest after it, or all that is no decision at once."""
        if not values:
            self.acknowledge(delivered)
            return
        by_type = self._outputs.by_type
        decides = by_type[type(values[0])].decision is not None
        now, later = (values[:1], values[1:]) if decides else (values, None)
        messages = [by_type[type(value)].message(value, delivered.sequence) for value in now]
        delivered.rest = later
        delivered.published = values[0]
        delivered.pending = len(messages)
        self.stats.published += len(messages) - 1  # the last one is counted when all are stored
        for message in messages:
            self._publish(*message, delivered)

    # seam.Waiter, by way of the delivery

    def on_stored(self, delivered: Delivered) -> None:
        """Every output on its way has its PubAck."""
        self.stats.published += 1
        if delivered.rest:
            try:
                self._publish_all(delivered, delivered.rest)
            except Exception as error:  # noqa: BLE001 - it cannot be encoded: its handler's fault
                self._failed(delivered, error)
        else:
            self.acknowledge(delivered)

    def on_decided(self, delivered: Delivered) -> None:
        """The server refused a second outcome: look whose the first one is."""
        self._run(self._settle_refused(delivered))

    def on_impossible(self, delivered: Delivered, reason: str) -> None:
        """An output can never be stored, so the delivery failed, whatever becomes of the others."""
        if delivered.pending <= 0:
            return
        delivered.pending = 0
        self._failed(delivered, Reject(f"the output cannot be stored: {reason}"))

    async def _settle_refused(self, delivered: Delivered) -> None:
        output = self._outputs.by_type[type(delivered.published)]
        message = output.message(delivered.published, delivered.sequence)
        token = escape_key(getattr(delivered.published, output.key or ""))
        try:
            stored = await self._look_up(output.stream, output.decision_filter(token))
        except Exception as error:  # noqa: BLE001 - no answer is an answer: undecided
            self._log.info("undecided, asking again", cause=delivered.cause, error=str(error))
            stored = None
        if stored is None:
            await asyncio.sleep(_UNDECIDED_SECONDS)
            self._publish(*message, delivered)
        elif stored.subject.encode() == message[0] and self._is_ours(delivered, stored):
            self.stats.repeated += 1
            delivered.on_stored()
        else:
            self._settle_decided(delivered, stored, message[0].decode())

    def _settle_decided(self, delivered: Delivered, stored: StoredMessage, refused: str) -> None:
        """Ack, the key has its outcome; if another cause decided it, say so where people look."""
        delivered.rest = None
        if self._is_ours(delivered, stored):
            self.stats.repeated += 1
            self.acknowledge(delivered)
            return
        self.stats.refused += 1
        self._log.warning(
            "decided by another cause",
            key=delivered.key,
            cause=delivered.cause,
            stored=f"{stored.stream}:{stored.sequence}",
            by=stored.message_id or "an unguarded publisher",
        )
        mark = refusal(delivered, refused, stored)
        delivered.pending = 1
        self._publish(*mark, Acknowledge(delivered))

    def _is_ours(self, delivered: Delivered, stored: StoredMessage) -> bool:
        ours = f"{self.handler.service}:{self.handler.name}:{delivered.cause}:"
        return stored.message_id.startswith(ours)

    # verdicts

    def _ack(self, reply: bytes, received: float) -> None:
        self._send_ack(reply)
        self.stats.acked += 1
        self._settled(received)

    def acknowledge(self, delivered: Delivered) -> None:
        """Everything that the delivery caused is stored."""
        if self._release(delivered):
            self._ack(delivered.reply, delivered.received)

    def _failed(self, delivered: Delivered, error: BaseException) -> None:
        self.stats.failed += 1
        if isinstance(error, TimeoutError) and not text_of(error):
            trace = error.__traceback__
            error = TimeoutError(f"not done within {self.policy.timeout}").with_traceback(trace)
        text = masked(text_of(error), delivered.event)
        self.stats.last_error = f"{type(error).__name__}: {text}"
        if isinstance(error, _FINAL) or delivered.attempt >= self.policy.attempts:
            self._dead_letter(delivered, error, text)
        else:
            self._retry(delivered, error, text)

    def _retry(self, delivered: Delivered, error: BaseException, text: str) -> None:
        delay = self.policy.delay(delivered.attempt, random.random())  # noqa: S311 - jitter is no secret
        if isinstance(error, Retry) and isinstance(error.after, int | float):
            delay = error.after if 0 <= error.after <= _LONGEST_RETRY else delay
        self._log.warning(
            "retry",
            key=delivered.key,
            cause=delivered.cause,
            attempt=delivered.attempt,
            after=round(delay, 3),
            error=type(error).__name__,
            message=text,
        )
        if self._release(delivered):
            self._transport.retry(delivered.reply, delay)
            self.stats.retried += 1
            self._settled(delivered.received)

    def _dead_letter(self, delivered: Delivered, error: BaseException, text: str) -> None:
        """Write the letter; the input is terminated when it is stored, not before."""
        self._log.error(
            "dead letter",
            key=delivered.key,
            cause=delivered.cause,
            attempt=delivered.attempt,
            error=type(error).__name__,
            message=text,
            where=where(error),
        )
        letter = dead_letter(delivered, self._version, error)
        self._publish(*letter, Terminate(delivered, letter, self._publish))

    def terminate(self, delivered: Delivered, reason: str) -> None:
        """The dead letter is stored: the server may forget the input."""
        self.unstorable = ""
        if self._release(delivered):
            self._transport.terminate(delivered.reply, reason)
            self.stats.dead += 1
            self._settled(delivered.received)

    def keep_pending(self, delivered: Delivered, reason: str) -> None:
        """Not even the dead letter can be stored: the input stays, and comes again."""
        self._log.error("the dead letter cannot be stored", cause=delivered.cause, reason=reason)
        self.unstorable = f"{delivered.cause} cannot be dead-lettered: {reason}"
        if self._release(delivered):
            self._transport.retry(delivered.reply, self.policy.backoff_cap)
            self._settled(delivered.received)

    def _release(self, delivered: Delivered) -> bool:
        """Take a delivery out of flight; False when it was given back meanwhile."""
        return self.in_flight.pop(delivered.sequence, None) is not None

    def _settled(self, received: float) -> None:
        seconds = perf_counter() - received
        stats = self.stats
        stats.seconds += seconds
        stats.buckets[int(seconds * 1e6).bit_length()] += 1
        self._on_settled()

    # lifecycle

    def keep_alive(self, now: float) -> None:
        """Prolong what has run for a third of its ack_wait; called by the service's clock."""
        oldest = now - self.policy.ack_wait / 3
        for delivered in self.in_flight.values():
            if delivered.received < oldest:
                self._transport.progress(delivered.reply)

    async def give_back(self) -> int:
        """Cancel what still runs and return it to the server; how many there were."""
        self._giving_back = True
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CANCEL_SECONDS)
        left = list(self.in_flight.values())
        for delivered in left:
            self._release(delivered)
            self._transport.retry(delivered.reply, _GIVE_BACK_SECONDS)
            self._settled(delivered.received)
        return len(left)
