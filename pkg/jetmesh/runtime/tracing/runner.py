"""Runs a traced handler: each attempt is a span, and what it waited for is another."""

from __future__ import annotations

import asyncio
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from jetmesh.errors import Unavailable
from jetmesh.runtime.cancelled import is_cancelled
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.runner import HandlerRunner
from jetmesh.runtime.reading import Removed
from jetmesh.runtime.tracing import names
from jetmesh.runtime.tracing.contexts import about, within
from jetmesh.runtime.tracing.tracing import Tracing, context_of, failed, is_left_out


class Journey:
    """What tracing knows of a delivery in flight (`Delivered.trace`)."""

    __slots__ = ("attempt", "away_since", "parent", "waited")

    def __init__(self, parent: Context) -> None:
        self.parent = parent
        """What the message brought, or its wait in the queue when it brought nothing."""
        self.attempt: Context | None = None
        """The newest attempt; what comes of it belongs there."""
        self.away_since = 0
        """Since when it waits for a dependency that is away, in nanoseconds since 1970."""
        self.waited = False
        """Its wait in the queue was told."""


class TracedRunner(HandlerRunner):
    """`HandlerRunner`, with the tracing of its process first."""

    def __init__(self, tracing: Tracing, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._tracing = tracing
        self._plain_call, self.call = self.call, self._attempt
        self._plain_conclude = self.conclude
        self.conclude = self._conclude

    def _begin(self, delivered: Delivered) -> None:
        """As it says there; when it will wait for its dependency, the wait begins now."""
        if self.outage.reason:
            _journey(delivered).away_since = time_ns()
        super()._begin(delivered)

    def _attempt(self, delivered: Delivered) -> Any:
        """The handler runs in the span of its attempt, wherever it runs."""
        context, span = self._begin_attempt(delivered)
        if self.handler.is_async:
            return self._finish(delivered, context, span)
        with within(context):
            try:
                return self._plain_call(delivered)
            except BaseException as error:
                failed(span, error, delivered.event)
                raise
            finally:
                span.end()

    async def _finish(self, delivered: Delivered, context: Context, span: Span) -> Any:
        with within(context):
            try:
                return await self._plain_call(delivered)
            except asyncio.CancelledError as error:
                late = is_cancelled() and not self.stopping
                failed(span, TimeoutError(f"not done within {self._timeout}") if late else error)
                raise
            except BaseException as error:
                failed(span, error, delivered.event)
                raise
            finally:
                span.end()

    def _conclude(
        self, delivered: Delivered, result: Any, failure: BaseException | None = None
    ) -> None:
        journey = _journey(delivered)
        if journey.attempt is None and not isinstance(failure, Removed):  # it was never called
            self._no_attempt(delivered, failure)
        if isinstance(failure, Unavailable):
            journey.away_since = time_ns()
        with within(journey.attempt or journey.parent):
            self._plain_conclude(delivered, result, failure)

    def dead_letter(self, delivered: Delivered, error: BaseException) -> None:
        """Give a delivery up without running it."""
        self._no_attempt(delivered, error)
        with within(_journey(delivered).attempt or Context()):
            super().dead_letter(delivered, error)

    def _no_attempt(self, delivered: Delivered, failure: BaseException | None) -> None:
        _, span = self._begin_attempt(delivered)
        if failure is not None:
            failed(span, failure, delivered.event)
        span.end()

    def _begin_attempt(self, delivered: Delivered) -> tuple[Context, Span]:
        journey = _journey(delivered)
        self._tell_waits(delivered, journey)
        brought = trace.get_current_span(journey.parent)
        if is_left_out(brought):
            journey.attempt = about(delivered, journey.parent)
            return journey.attempt, brought
        span = self._tracing.begin(
            delivered,
            "process",
            journey.parent,
            kind=SpanKind.CONSUMER,
            more={names.OPERATION_TYPE: "process", names.OPERATION_NAME: "process"},
        )
        journey.attempt = about(delivered, trace.set_span_in_context(span, journey.parent))
        return journey.attempt, span

    def _tell_waits(self, delivered: Delivered, journey: Journey) -> None:
        brought = trace.get_current_span(journey.parent)
        if is_left_out(brought):
            return
        now = time_ns()
        until = journey.away_since or now
        first = delivered.deliveries == 1 and not delivered.on_lane
        if first and not journey.waited:
            waited = self._tracing.wait(
                delivered, "queue", journey.parent, delivered.stored_ns, until
            )
            if not brought.get_span_context().is_valid:
                journey.parent = waited  # the trace begins with it
        journey.waited = True
        if journey.away_since:
            self._tracing.wait(delivered, "outage", journey.parent, until, now)
            journey.away_since = 0


def _journey(delivered: Delivered) -> Journey:
    known: Journey | None = getattr(delivered, "trace", None)
    if known is None:
        known = delivered.trace = Journey(context_of(delivered))
    return known
