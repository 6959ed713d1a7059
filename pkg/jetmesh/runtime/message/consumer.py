"""Take the deliveries of one handler from its durable and from its lane.

Nothing that a healthy message meets here is a coroutine, a task or a log line, unless its
handler is `async def`. Every delivery ends in exactly one verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any, Final

from jetmesh.declare import Handler, Policy, escape_key
from jetmesh.protocol.acks import ACK, numbers_of
from jetmesh.protocol.content import PLUS
from jetmesh.protocol.streams import lane_stream
from jetmesh.runtime.message.backlog import QUICK_SECONDS
from jetmesh.runtime.message.belief import Evidence
from jetmesh.runtime.message.delivered import Delivered, Durable
from jetmesh.runtime.message.ordered.lettinggo import LettingGo
from jetmesh.runtime.message.ordered.order import Order
from jetmesh.runtime.message.ordered.ordering import OrderedVerdicts
from jetmesh.runtime.message.quarantine import Quarantine
from jetmesh.runtime.message.runner import HandlerRunner
from jetmesh.runtime.message.timed.alarmed import on_lane
from jetmesh.runtime.message.verdicts import Verdicts
from jetmesh.transport.seam import Looks, Transport

_LANE_BATCH: Final = 256
_FIRST: Final = 64
"""Deliveries of a `def` handler in flight before it is known how long a call takes."""


class Consumer:
    """One handler at work on its durable and on its lane."""

    def __init__(
        self,
        handler: Handler,
        *,
        version: str,
        policy: Policy,
        transport: Transport,
        evidence: Evidence,
        injected: Mapping[str, Any],
        quarantine: Quarantine,
        runner: Callable[..., HandlerRunner] = HandlerRunner,
    ) -> None:
        self.handler = handler
        self.policy = policy
        ordered = OrderedVerdicts(handler, policy, transport) if handler.ordered else None
        self.verdicts = ordered or Verdicts(handler, policy, transport)
        self.stats = self.verdicts.stats
        self.in_flight = self.verdicts.in_flight
        self.runner = runner(
            handler,
            policy,
            self.verdicts,
            evidence=evidence,
            injected=injected,
            quarantine=quarantine,
            turns=transport.turns,
            on_change=self.adjust,
        )
        self._transport = transport
        self.order: Order | None = None
        """Says which delivery is the next of its key, where that matters."""
        self.letting_go: LettingGo | None = None
        """Says what becomes of what kept an order, where none is kept."""
        self._take = self._order_by(ordered, evidence.looks)
        self._quarantine = quarantine
        self._is_disturbed = False
        """Not every delivery runs at once: each is checked before it does."""
        self._send_ack = transport.ack
        self._took = self.stats.took
        self._queue = self.stats.queue
        reader = self.runner.reader
        self._decode = reader.decode
        self._newest = reader.newest
        self._is_special = reader.is_special
        self._conclude = self.runner.conclude
        self._key = handler.input.key
        self._is_plain = not injected and handler.delivery is None and not handler.wraps
        at_once = handler.runs == "inline" and not handler.ordered
        self._is_inline = at_once and runner is HandlerRunner
        self._pull(version)
        self._on_settled = self.inflow.settled

    def _order_by(
        self, ordered: OrderedVerdicts | None, looks: Looks
    ) -> Callable[[Delivered], None]:
        """Keep the order of each key, or let go what was kept before; who takes deliveries."""
        publish, asking = self._transport.publish, self.runner.asking
        if ordered is not None:
            self.order = Order(
                self.handler,
                self.policy,
                ordered,
                publish=publish,
                looks=looks,
                asking=asking,
                begin=self._begin,
            )
            return self.order.take
        self.letting_go = LettingGo(
            self.handler,
            self.policy,
            self.verdicts,
            publish=publish,
            looks=looks,
            asking=asking,
            begin=self._begin,
        )
        return self._begin

    def _pull(self, version: str) -> None:
        handler, policy = self.handler, self.policy
        limit, lane_limit = _limits(handler, policy)
        is_inline = handler.runs == "inline"
        first = _FIRST if is_inline else 0  # the others have what they can run at once
        self.inflow = self._transport.inflow(
            handler.input.stream,
            handler.durable,
            limit=min(limit, policy.max_ack_pending),
            first=first,
            on_delivery=self._handle if self._is_inline else self._start,
            on_muted=self.adjust,
        )
        self.lane = self._transport.inflow(
            lane_stream(handler.service),
            handler.durable,
            limit=min(lane_limit, policy.max_ack_pending),
            first=first,
            on_delivery=self._start_on_lane,
            on_muted=self.adjust,
        )
        self._durable = Durable(
            handler=handler,
            policy=policy,
            version=version,
            inflow=self.inflow,
            stats=self.stats,
            outcome=self.runner.publisher,
            now=self._transport.now,
        )
        self._lane_durable = replace(self._durable, inflow=self.lane)
        # to look at the age of each message, none may pass as a first delivery
        start = f"{ACK}{handler.input.stream}.{handler.durable}.1."
        self._first = b"-" if policy.max_age else start.encode()

    # arrival

    def _handle(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        """Run a `def` handler, here and now."""
        if (
            self._is_disturbed
            or not reply.startswith(self._first)
            or (
                not headers.startswith(self._newest)
                if self._newest
                else PLUS in headers and self._is_special(headers)
            )
        ):
            self._start(subject, reply, headers, payload)
            return
        received = perf_counter()
        try:
            event = self._decode(payload)
        except BaseException:  # noqa: BLE001 - there may be another way to read it
            self._start(subject, reply, headers, payload)
            return
        self.stats.delivered += 1
        if received > self._queue.due:
            self._queue.measure(int(numbers_of(reply)[3]), received)
        delivered, result, failure = None, None, None
        try:
            if self._key is not None:
                escape_key(getattr(event, self._key))  # refuses a key that cannot be one
            if self._is_plain:
                result = self.handler.function(event)
            else:
                delivered = Delivered(
                    self._durable, subject, reply, headers, payload, event, received
                )
                result = self.runner.call(delivered)
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises ends in a verdict
            failure = error
            self.inflow.check(reply)  # its verdict says more than that it was handled
        took = perf_counter() - received
        if took > QUICK_SECONDS:
            self.runner.took(took)
        if result is None and failure is None:
            self._send_ack(reply)
            self.stats.acked += 1
            self._took(took)
            self._on_settled()
            return
        delivered = delivered or Delivered(
            self._durable, subject, reply, headers, payload, event, received
        )
        if self.verdicts.hold(delivered):
            self._conclude(delivered, result, failure)

    def _start(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        """Take a delivery that is not handled here and now, or one that may not be the first.

        Raises:
            ValueError: it is no delivery of this durable.
        """
        self.inflow.check(reply)
        delivered = Delivered(self._durable, subject, reply, headers, payload, None, perf_counter())
        numbers = numbers_of(reply)
        if numbers[0] == b"1" and not reply.startswith(self._first) and not self.policy.max_age:
            # so begins a first delivery of a server that puts its domain before the stream
            self._first = reply[: -len(b".".join(numbers))] + b"1."
        self._arrive(delivered, numbers, self._take)

    def _start_on_lane(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        self.lane.check(reply)
        delivered = on_lane(self._lane_durable, subject, reply, headers, payload)
        leaves = self.letting_go.take if self.letting_go and delivered.line else self._take
        self._arrive(delivered, numbers_of(reply), leaves)

    def _arrive(
        self, delivered: Delivered, numbers: list[bytes], take: Callable[[Delivered], None]
    ) -> None:
        self.stats.delivered += 1
        if not self.verdicts.hold(delivered):
            return
        if numbers[0] == b"1":
            if delivered.received > self._queue.due and not delivered.on_lane:
                self._queue.measure(int(numbers[3]), delivered.received)
        else:
            self.verdicts.recall(delivered)
        take(delivered)

    def _begin(self, delivered: Delivered) -> None:
        """It may run: alone, if processes may have died of it."""
        if delivered.deadline is None and self._quarantine.takes(delivered):
            self.runner.isolate(delivered)
        else:
            self.runner.begin(delivered)

    # lifecycle

    def start(self) -> None:
        """Begin to pull."""
        self.inflow.start()
        self.lane.start()

    async def stop(self) -> None:
        """Pull no more, and give back what waits for a dependency."""
        self.inflow.stop()
        self.lane.stop()
        if self.order is not None:
            self.order.stop()
        await self.runner.stop()

    def adjust(self) -> None:
        """Pull as much as makes sense now, and run it only where that does."""
        runner = self.runner
        muted = bool(self.inflow.muted or self.lane.muted)
        if muted and not runner.backlog.is_paused:
            runner.backlog.pause()
        elif not muted and runner.backlog.is_paused:
            self.keep_alive(math.inf)  # nothing could be prolonged meanwhile
            runner.backlog.go_on()
        self._is_disturbed = bool(
            self._quarantine.active
            or runner.outage.reason
            or muted
            or runner.backlog
            or runner.pace.is_slow
        )
        if runner.stopping:
            return
        if runner.guards.problem:
            self.inflow.limit_to(0)
            self.lane.limit_to(0)
            return
        # in an outage one that waits, and one that may work where it does not
        most = 2 if runner.outage.reason else runner.newer.limit(runner.pace.limit)
        self.inflow.limit_to(most)
        self.lane.limit_to(max(1, most // 2))

    def keep_alive(self, now: float) -> None:
        """Prolong what came a third of its ack_wait ago; called by the service's clock."""
        if self.inflow.muted or self.lane.muted:
            return  # it would be refused
        oldest = now - self.policy.ack_wait / 3
        for delivered in self.in_flight.values():
            if delivered.received < oldest:
                self._transport.progress(delivered.reply)

    async def give_back(self) -> int:
        """Cancel what still runs and return it to the server; how many there were."""
        if self.order is not None:
            self.order.cancel()
        if self.letting_go is not None:
            self.letting_go.cancel()
        await self.runner.cancel()
        left = list(self.in_flight.values())
        for delivered in left:
            self.verdicts.give_back(delivered)
        return len(left)


def _limits(handler: Handler, policy: Policy) -> tuple[int, int]:
    """How much may be in flight of the handler's stream, and of its lane."""
    if handler.runs == "inline":
        return policy.batch, min(policy.batch, _LANE_BATCH)
    if handler.runs == "async":
        return policy.concurrency, max(1, policy.concurrency // 4)
    # a few that wait, so that no thread does
    return handler.threads + max(1, handler.threads // 2), max(1, handler.threads // 4)
