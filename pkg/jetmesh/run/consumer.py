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
from jetmesh.errors import ContractViolation, Reject, Retry
from jetmesh.run.delivered import Delivered, LiveDelivery
from jetmesh.run.letters import dead_letter, refusal, where, without_payload
from jetmesh.run.mask import masked
from jetmesh.run.metrics import HandlerStats
from jetmesh.run.outputs import Message, Outputs, UndeclaredOutput
from jetmesh.transport.control import StoredMessage
from jetmesh.transport.seam import Transport, Waiter

LookUp = Callable[[str, str], Awaitable[StoredMessage | None]]
"""(stream, subject filter) to the newest message stored there, read from the leader."""

_FINAL: Final = (Reject, ContractViolation, UndeclaredOutput)
"""Trying again cannot help."""
_GIVE_BACK_SECONDS: Final = 0.1
_UNDECIDED_SECONDS: Final = 0.5


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
        self.unstorable = ""
        """Why the newest dead letter could not be stored; empty when all could."""
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
        delivered = self._arrive(subject, reply, headers, payload)
        if delivered is None:
            return
        try:
            event = self._read(delivered)
            result = self._function(event) if self._plain else self._call(delivered, event)
            self._emit(delivered, result)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises ends in a verdict
            self._failed(delivered, error)

    def _start(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        """Run an `async def` handler beside others."""
        delivered = self._arrive(subject, reply, headers, payload)
        if delivered is None:
            return
        try:
            event = self._read(delivered)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(delivered, error)
            return
        self._run(delivered, self._effect(delivered, event))

    def _arrive(
        self, subject: bytes, reply: bytes, headers: bytes, payload: bytes
    ) -> Delivered | None:
        delivered = Delivered(self, subject, reply, headers, payload, perf_counter())
        self.stats.delivered += 1
        running = self.in_flight.get(delivered.sequence)
        if running is not None:
            # delivered again while we work on it, as after a lost connection: one run is
            # enough, and its verdict belongs to the newest delivery
            running.reply = reply
            running.meta = delivered.meta
            self.inflow.settled()
            return None
        self.in_flight[delivered.sequence] = delivered
        return delivered

    def _read(self, delivered: Delivered) -> Any:
        try:
            event = delivered.event = self._decode(delivered.payload)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ContractViolation(
                f"{self.handler.input.subject}: {str(error) or type(error).__name__}"
            ) from error
        if self._key is not None:
            escape_key(getattr(event, self._key))  # refuses a key that cannot be one
        return event

    def _call(self, delivered: Delivered, event: Any) -> Any:
        if self._tells is None:
            return self._function(event, **self._supplied)
        return self._function(event, **{self._tells: LiveDelivery(delivered)}, **self._supplied)

    async def _effect(self, delivered: Delivered, event: Any) -> None:
        """Run an `async def` handler, unless its outcome is stored already.

        It looks on every delivery: on one server even a confirmed ack can be lost and come back
        as a first delivery, and an effect should not happen twice for it.
        """
        deciding = self._outputs.deciding
        try:
            async with asyncio.timeout(self.policy.timeout):
                if deciding is not None and self.handler.input.key is not None:
                    wanted = deciding.decision_filter(delivered.key_token)
                    stored = await self._look_up(deciding.stream, wanted)
                    if stored is not None:
                        self._settle_decided(delivered, stored, wanted)
                        return
                result = await self._call(delivered, event)
            self._emit(delivered, result)
        except Exception as error:  # noqa: BLE001 - as above; CancelledError is none
            self._failed(delivered, error)

    def _run(self, delivered: Delivered, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # outputs

    def _emit(self, delivered: Delivered, result: Any) -> None:
        if result is None:
            self._ack(delivered)
            return
        output = self._output_of(type(result))
        if output is not None:
            delivered.published = result
            delivered.pending = 1
            self._transport.publish(*output.message(result, delivered.sequence), delivered)
            return
        values = self._outputs.ordered(result)
        if not values:
            self._ack(delivered)
            return
        self._publish_all(delivered, values)

    def _publish_all(self, delivered: Delivered, values: list[Any]) -> None:
        """Publish a decision alone and the rest after it, or all that is no decision at once."""
        first = self._outputs.by_type[type(values[0])]
        now = values[:1] if first.decision else values
        delivered.rest = values[1:] if first.decision else None
        delivered.published = values[0]
        messages = [
            self._outputs.by_type[type(value)].message(value, delivered.sequence) for value in now
        ]
        delivered.pending = len(messages)
        self.stats.published += len(messages) - 1  # the last one is counted when all are stored
        for message in messages:
            self._transport.publish(*message, delivered)

    # seam.Waiter, by way of the delivery

    def on_stored(self, delivered: Delivered) -> None:
        """Every output on its way has its PubAck."""
        self.stats.published += 1
        if delivered.rest:
            self._publish_all(delivered, delivered.rest)
        else:
            self._ack(delivered)

    def on_decided(self, delivered: Delivered) -> None:
        """The server refused a second outcome: look whose the first one is."""
        self._run(delivered, self._settle_refused(delivered))

    def on_impossible(self, delivered: Delivered, reason: str) -> None:
        """An output can never be stored."""
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
            self._transport.publish(*message, delivered)
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
            self._ack(delivered)
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
        self._transport.publish(*mark, _Acknowledge(delivered))

    def _is_ours(self, delivered: Delivered, stored: StoredMessage) -> bool:
        ours = f"{self.handler.service}:{self.handler.name}:{delivered.cause}:"
        return stored.message_id.startswith(ours)

    # verdicts

    def _ack(self, delivered: Delivered) -> None:
        self._transport.ack(delivered.reply)
        self.stats.acked += 1
        self._settled(delivered)

    def _failed(self, delivered: Delivered, error: BaseException) -> None:
        self.stats.failed += 1
        if isinstance(error, TimeoutError) and not str(error):
            error = TimeoutError(f"not done within {self.policy.timeout}").with_traceback(
                error.__traceback__
            )
        text = masked(str(error), delivered.event)
        self.stats.last_error = f"{type(error).__name__}: {text}"
        if isinstance(error, _FINAL) or delivered.attempt >= self.policy.attempts:
            self._dead_letter(delivered, error, text)
        else:
            self._retry(delivered, error, text)

    def _retry(self, delivered: Delivered, error: BaseException, text: str) -> None:
        after = error.after if isinstance(error, Retry) else None
        chance = random.random()  # noqa: S311 - jitter is no secret
        delay = self.policy.delay(delivered.attempt, chance) if after is None else after
        self._log.warning(
            "retry",
            key=delivered.key,
            cause=delivered.cause,
            attempt=delivered.attempt,
            after=round(delay, 3),
            error=type(error).__name__,
            message=text,
        )
        self._transport.retry(delivered.reply, delay)
        self.stats.retried += 1
        self._settled(delivered)

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
        self._transport.publish(*letter, _Terminate(delivered, letter))

    def terminate(self, delivered: Delivered, reason: str) -> None:
        """The dead letter is stored: the server may forget the input."""
        self._transport.terminate(delivered.reply, reason)
        self.unstorable = ""
        self.stats.dead += 1
        self._settled(delivered)

    def publish(self, letter: Message, waiter: Waiter) -> None:
        """Send a letter that had to be changed."""
        self._transport.publish(*letter, waiter)

    def keep_pending(self, delivered: Delivered, reason: str) -> None:
        """Not even the dead letter can be stored: the input stays, and comes again."""
        self._log.error("the dead letter cannot be stored", cause=delivered.cause, reason=reason)
        self.unstorable = f"{delivered.cause} cannot be dead-lettered: {reason}"
        self._transport.retry(delivered.reply, self.policy.backoff_cap)
        self._settled(delivered)

    def acknowledge(self, delivered: Delivered) -> None:
        """The mark of a refusal is stored, or never can be."""
        self._ack(delivered)

    def _settled(self, delivered: Delivered) -> None:
        if self.in_flight.pop(delivered.sequence, None) is None:
            return  # given back meanwhile
        seconds = perf_counter() - delivered.received
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
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = list(self.in_flight.values())
        for delivered in left:
            self._transport.retry(delivered.reply, _GIVE_BACK_SECONDS)
            self._settled(delivered)
        return len(left)


class _Terminate:
    """Waits for a dead letter to be stored."""

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


class _Acknowledge:
    """Waits for the mark of a refused outcome to be stored."""

    __slots__ = ("_delivered",)

    def __init__(self, delivered: Delivered) -> None:
        self._delivered = delivered

    def on_stored(self) -> None:
        self._delivered.consumer.acknowledge(self._delivered)

    on_decided = on_stored

    def on_impossible(self, reason: str) -> None:  # noqa: ARG002 - a mark is worth no retry
        self._delivered.consumer.acknowledge(self._delivered)
