"""The data plane of a traced service: what it sends carries its trace, and verdicts are spans."""

from __future__ import annotations

from datetime import datetime
from time import perf_counter, time_ns
from typing import Any, Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from jetmesh import wire
from jetmesh.protocol import headers as header
from jetmesh.protocol.lanes import scheduled_at
from jetmesh.runtime.tracing import names
from jetmesh.runtime.tracing.contexts import current_delivery, current_race, within
from jetmesh.runtime.tracing.journey import journey_of
from jetmesh.runtime.tracing.tracing import Tracing, is_left_out, with_context
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.seam import Message, Waiter

_SCHEDULE: Final = f"{header.SCHEDULE}:".encode()
_DEADLINE: Final = f"{header.DEADLINE}:".encode()


class TracedPlane(DataPlane):
    """Reads from the current context what a message or a verdict is about."""

    def __init__(self, tracing: Tracing, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._tracing = tracing
        self._store = self.publish
        self.publish = self._publish

    def _publish(self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter) -> None:
        if _SCHEDULE in headers and _DEADLINE not in headers:
            at = scheduled_at(wire.parse(headers).values)
            self._wait(round(datetime.fromisoformat(at).timestamp() * 1e9))
        race = current_race()
        span = self._tracing.send(subject, headers, payload, race or ())
        kind = _Waiter if race is None else _Racing
        waits = kind(waiter, span, contexts.get_current())
        self._store(subject, with_context(headers, span), payload, waits)

    def ack(self, reply: bytes) -> None:
        self._settle("ack")
        super().ack(reply)

    def retry(self, reply: bytes, delay: float) -> None:
        self._settle("nak")
        self._wait(time_ns() + round(delay * 1e9))
        super().retry(reply, delay)

    def terminate(self, reply: bytes, reason: str) -> None:
        self._settle("term")
        super().terminate(reply, reason)

    def _settle(self, verdict: str) -> None:
        delivered = current_delivery()
        if delivered and not is_left_out(trace.get_current_span()):
            more = {names.OPERATION_TYPE: "settle", names.OPERATION_NAME: verdict}
            current = contexts.get_current()
            span = trace.get_current_span().get_span_context()
            ids = trace.format_trace_id(span.trace_id), trace.format_span_id(span.span_id)
            delivered.durable.stats.exemplify(perf_counter() - delivered.received, *ids)
            self._tracing.begin(
                delivered,
                verdict,
                current,
                kind=SpanKind.CLIENT,
                more=more,
                links=journey_of(delivered).links,
            ).end()

    def _wait(self, until: int) -> None:
        """A retry waits as long as was asked for: told now, because anybody may take it up."""
        delivered = current_delivery()
        if delivered and not is_left_out(trace.get_current_span()):
            self._tracing.wait(delivered, "retry", contexts.get_current(), time_ns(), until)


class _Waiter:
    """Ends the span of a publish, and goes on where it began (`seam.Waiter`)."""

    __slots__ = ("_context", "_span", "_waiter")

    def __init__(self, waiter: Waiter, span: Span, context: Context) -> None:
        self._waiter = waiter
        self._span = span
        self._context = context

    def on_stored(self, answer: bytes) -> None:
        self._span.end()
        with within(self._context):
            self._waiter.on_stored(answer)

    def on_duplicate(self, message: Message, sequence: int) -> None:
        self._span.end()  # what it is worth is found out behind it
        with within(self._context):
            self._waiter.on_duplicate(message, sequence)

    def on_decided(self) -> None:
        self._fail("AlreadyDecided", "the key has an outcome already")
        with within(self._context):
            self._waiter.on_decided()

    def on_impossible(self, reason: str) -> None:
        self._fail("BrokerError", reason)
        with within(self._context):
            self._waiter.on_impossible(reason)

    def _fail(self, error: str, text: str) -> None:
        self._span.set_attribute(names.ERROR_TYPE, error)
        self._span.set_status(Status(StatusCode.ERROR, text))
        self._span.end()


class _Racing(_Waiter):
    """Of a message that is made anew when another one is the newest of its key."""

    __slots__ = ()

    def on_decided(self) -> None:
        self._span.add_event(names.RACE_LOST)
        self._span.end()
        with within(self._context):
            self._waiter.on_decided()
