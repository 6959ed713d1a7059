"""Consume, decode, handle, publish, ack: the path of every message.

Nothing that a healthy message meets here is a coroutine, a task or a log line, unless its
handler is `async def`. Every delivery ends in exactly one verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Final

import msgspec

from jetmesh.declare import Handler, Policy, escape_key
from jetmesh.errors import Reject, Unavailable
from jetmesh.privacy.mask import masked, text_of
from jetmesh.protocol.streams import LANES
from jetmesh.runtime.message.decisions import Decisions, LookUp
from jetmesh.runtime.message.delivered import Delivered, LaneDelivered, LiveDelivery
from jetmesh.runtime.message.letters import unreadable
from jetmesh.runtime.message.outage import Outage
from jetmesh.runtime.message.outputs import Outputs
from jetmesh.runtime.message.quarantine import Suspects
from jetmesh.runtime.message.verdicts import Verdicts
from jetmesh.transport.seam import Transport

_CANCEL_SECONDS: Final = 1.0
_EXCUSES: Final = 3
"""So often a delivery may call its dependency away and be refuted by another one that works."""
_LANE_BATCH: Final = 256


class Consumer:
    """One handler at work on its durable and on its lane."""

    def __init__(
        self,
        handler: Handler,
        *,
        version: str,
        policy: Policy,
        transport: Transport,
        look_up: LookUp,
        supplied: Mapping[str, Any],
        suspects: Suspects,
    ) -> None:
        self.handler = handler
        self.policy = policy
        self.verdicts = Verdicts(handler, policy, version=version, transport=transport)
        self.stats = self.verdicts.stats
        self.in_flight = self.verdicts.in_flight
        self.outage = Outage(
            f"{handler.service}.{handler.name}",
            policy,
            run=self.run,
            begin=self.begin,
            on_change=self.adjust,
        )
        self.careful = False
        """Every delivery is looked at before it runs: a suspect runs alone, or an outage is on."""
        self.running: set[asyncio.Task[None]] = set()
        self.stopping = False
        """What is cancelled from now on is given back, it did not fail."""
        self._suspects = suspects
        self._transport = transport
        self._publish = transport.publish
        self._send_ack = transport.ack
        self._took = self.stats.took
        self._decode = msgspec.json.Decoder(handler.input.type).decode
        self._key = handler.input.key
        self._outputs = Outputs(handler)
        self._output_of = self._outputs.by_type.get
        self.decisions = Decisions(
            handler,
            outputs=self._outputs,
            verdicts=self.verdicts,
            publish=transport.publish,
            look_up=look_up,
        )
        self._function = handler.function
        self._supplied = dict(supplied)
        self._tells = handler.delivery
        self._plain = not supplied and handler.delivery is None
        self._slots = asyncio.Semaphore(policy.concurrency)
        self._pull(transport)

    def _pull(self, transport: Transport) -> None:
        handler, policy = self.handler, self.policy
        self.ack_start = f"$JS.ACK.{handler.input.stream}.{handler.durable}.".encode()
        """How the ack subject of a delivery begins; its numbers follow."""
        # to look at the age of each message, none may pass as a first delivery
        self._first = b"-" if policy.max_age else self.ack_start + b"1."
        limit = policy.concurrency if handler.is_async else policy.batch
        lane_limit = max(1, limit // 4) if handler.is_async else min(limit, _LANE_BATCH)
        self.inflow = transport.inflow(
            handler.input.stream,
            handler.durable,
            limit=min(limit, policy.max_ack_pending),
            on_delivery=self._start if handler.is_async else self._handle,
        )
        self.lane = transport.inflow(
            LANES,
            handler.durable,
            limit=min(lane_limit, policy.max_ack_pending),
            on_delivery=self._start_on_lane,
        )
        self._on_settled = self.inflow.settled

    @property
    def unstorable(self) -> str:
        """Why the newest letter could not be stored; empty when all could."""
        return self.verdicts.unstorable

    # arrival

    def _handle(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        """Run a `def` handler, here and now."""
        if self.careful or not reply.startswith(self._first):
            self._start(subject, reply, headers, payload)
            return
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
            self._send_ack(reply)
            self.stats.acked += 1
            self._took(perf_counter() - received)
            self._on_settled()
            return
        delivered = Delivered(self, subject, reply, headers, payload, event, received)
        if self.verdicts.hold(delivered):
            self._conclude(delivered, result, failure)

    def _start(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        """Take a delivery of an `async def` handler, or one that may not be the first."""
        delivered = Delivered(self, subject, reply, headers, payload, None, perf_counter())
        if delivered.meta[0] != b"1":
            self.verdicts.recall(delivered)
        self._arrive(delivered)

    def _start_on_lane(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        self._arrive(LaneDelivered(self, subject, reply, headers, payload))

    def _arrive(self, delivered: Delivered) -> None:
        self.stats.delivered += 1
        if not self.verdicts.hold(delivered):
            return
        if self._suspects.is_suspect(delivered):
            self._suspects.add(delivered)
        else:
            self.begin(delivered)

    def begin(self, delivered: Delivered) -> None:
        """Run a delivery now, or when nothing speaks against it any more."""
        if self._suspects.alone:
            self._suspects.park(delivered)
        elif self.outage.reason:
            self.outage.wait(delivered)
        elif self.handler.is_async:
            self._spawn(self.run(delivered))
        else:
            self._run_inline(delivered)

    # running

    async def run(self, delivered: Delivered) -> None:
        """Run a delivery, whatever else is on; returns when its handler has."""
        if not self.handler.is_async:
            self._run_inline(delivered)
            return
        failure = self._read(delivered)
        if failure is not None:
            self._conclude(delivered, None, failure)
        else:
            await self._effect(delivered)

    def _run_inline(self, delivered: Delivered) -> None:
        result, failure = None, self._read(delivered)
        if failure is None:
            try:
                result = self._call(delivered)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
                failure = error
        self._conclude(delivered, result, failure)

    def _read(self, delivered: Delivered) -> BaseException | None:
        """Decode the event, unless it is one already; what speaks against handling it."""
        try:
            if delivered.event is None:
                delivered.event = self._decode(delivered.payload)
            if self._key is not None:
                escape_key(getattr(delivered.event, self._key))
            self.verdicts.check(delivered)  # once it is known what the letter is about
        except Exception as error:  # noqa: BLE001 - as above
            return error
        return None

    async def _effect(self, delivered: Delivered) -> None:
        """Run an `async def` handler, unless its outcome is stored already."""
        result, failure = None, None
        try:
            async with self._slots:
                if await self.decisions.is_settled(delivered):
                    return
                delivered.began = perf_counter()
                async with asyncio.timeout(self.policy.timeout):
                    result = await self._call(delivered)
        except asyncio.CancelledError as error:
            if not self.stopping:  # it cancelled itself: nobody else will settle it
                self.verdicts.failed(delivered, error)
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            failure = error
        self._conclude(delivered, result, failure)

    def _call(self, delivered: Delivered) -> Any:
        if self._tells is None:
            return self._function(delivered.event, **self._supplied)
        told = {self._tells: LiveDelivery(delivered)}
        return self._function(delivered.event, **told, **self._supplied)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    # outputs

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
            self._judge(delivered, failure)

    def _judge(self, delivered: Delivered, failure: BaseException) -> None:
        """An outage is nobody's failure, unless it turned out too often that others work."""
        if isinstance(failure, Unavailable) and delivered.excuses < _EXCUSES:
            self.outage.found(delivered, masked(text_of(failure), delivered.event))
            return
        if delivered.event is None:
            failure = unreadable(self.handler.input, delivered.payload, failure)
        self.verdicts.failed(delivered, failure)

    def _publish_all(self, delivered: Delivered, values: list[Any]) -> None:
        """Publish a decision alone and the rest after it, or all that is no decision at once."""
        if not values:
            self.verdicts.acknowledge(delivered)
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
                self.verdicts.failed(delivered, error)
        else:
            self.verdicts.acknowledge(delivered)

    def on_decided(self, delivered: Delivered) -> None:
        """The server refused a second outcome: look whose the first one is."""
        self._spawn(self.decisions.settle_refused(delivered))

    def on_impossible(self, delivered: Delivered, reason: str) -> None:
        """An output can never be stored, so the delivery failed, whatever becomes of the others."""
        if delivered.pending <= 0:
            return
        delivered.pending = 0
        self.verdicts.failed(delivered, Reject(f"the output cannot be stored: {reason}"))

    # lifecycle

    def start(self) -> None:
        """Begin to pull."""
        self.inflow.start()
        self.lane.start()

    async def stop(self) -> None:
        """Pull no more, and give back what waits for a dependency."""
        self.stopping = True
        self.inflow.stop()
        self.lane.stop()
        await self.outage.stop()

    def adjust(self) -> None:
        """Pull as much as makes sense now."""
        self.careful = self._suspects.alone or bool(self.outage.reason)
        if self.stopping:
            return
        if self.outage.reason:
            self.inflow.narrow(2)  # one that waits, and one that may work where it does not
            self.lane.narrow(1)
        else:
            self.inflow.widen()
            self.lane.widen()

    def keep_alive(self, now: float) -> None:
        """Prolong what has run for a third of its ack_wait; called by the service's clock."""
        oldest = now - self.policy.ack_wait / 3
        for delivered in self.in_flight.values():
            if delivered.received < oldest:
                self._transport.progress(delivered.reply)

    async def give_back(self) -> int:
        """Cancel what still runs and return it to the server; how many there were."""
        for task in list(self.running):
            task.cancel()
        if self.running:
            await asyncio.wait(self.running, timeout=_CANCEL_SECONDS)
        left = list(self.in_flight.values())
        for delivered in left:
            self.verdicts.give_back(delivered)
        return len(left)
