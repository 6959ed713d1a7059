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
from jetmesh.runtime.tracing import names
from jetmesh.runtime.tracing.contexts import about, within
from jetmesh.runtime.tracing.journey import Journey, journey_of
from jetmesh.runtime.tracing.tracing import Tracing, failed, is_left_out, link_to
from jetmesh.transport.reader import NewerVersion, Removed
from jetmesh.transport.stored import StoredMessage


class TracedRunner(HandlerRunner):
    """`HandlerRunner`, with the tracing of its process first."""

    def __init__(self, tracing: Tracing, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._tracing = tracing
        self._plain_call, self.call = self.call, self._attempt
        self._plain_conclude = self.conclude
        self.conclude = self._conclude
        self.decisions.losing = self._losing

    def _begin(self, delivered: Delivered) -> None:
        """As it says there; when it will wait, the wait begins now."""
        if self._quarantine.active:
            journey_of(delivered).waits("quarantine")
        elif self.outage.reason:
            journey_of(delivered).waits("outage")
        super()._begin(delivered)

    def _ring(self, delivered: Delivered) -> None:
        """What comes of an alarm belongs to the trace of the message whose handler asked for it."""
        journey = journey_of(delivered)
        if journey.attempt is None:
            context = journey.parent
            if not is_left_out(trace.get_current_span(context)):
                times = delivered.origin.stored, delivered.stored_ns
                context = self._tracing.wait(delivered, "deadline", context, *times)
            journey.attempt = about(delivered, context)
        with within(journey.attempt):
            super()._ring(delivered)

    def isolate(self, delivered: Delivered) -> None:
        """As it says there; it waits until it is alone."""
        journey_of(delivered).waits("quarantine")
        super().isolate(delivered)

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
        journey = journey_of(delivered)
        if journey.attempt is None and not isinstance(failure, Removed | NewerVersion):
            # it was never called
            self._no_attempt(delivered, failure)
        if isinstance(failure, Unavailable):
            journey.waits("outage")
        with within(journey.attempt or journey.parent):
            self._plain_conclude(delivered, result, failure)

    def _losing(self, delivered: Delivered, stored: StoredMessage) -> within:
        """The verdict links to the outcome that was first, also where nothing ran any more."""
        journey = journey_of(delivered)
        journey.links = link_to(stored)
        if journey.attempt is None:
            self._no_attempt(delivered, None)
        return within(journey.attempt or journey.parent)

    def dead_letter(self, delivered: Delivered, error: BaseException) -> None:
        """Give a delivery up without running it."""
        self._no_attempt(delivered, error)
        with within(journey_of(delivered).attempt or Context()):
            super().dead_letter(delivered, error)

    def _no_attempt(self, delivered: Delivered, failure: BaseException | None) -> None:
        _, span = self._begin_attempt(delivered)
        if failure is not None:
            failed(span, failure, delivered.event)
        span.end()

    def _begin_attempt(self, delivered: Delivered) -> tuple[Context, Span]:
        journey = journey_of(delivered)
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
        if is_left_out(trace.get_current_span(journey.parent)):
            return
        now = time_ns()
        if delivered.deliveries == 1 and not delivered.on_lane and not journey.waited:
            until = journey.waits_since(now)
            self._tell_wait(delivered, journey, "queue", delivered.stored_ns, until)
        journey.waited = True
        for what, start, end in journey.told(now):
            self._tell_wait(delivered, journey, what, start, end)

    def _tell_wait(
        self, delivered: Delivered, journey: Journey, what: str, start: int, end: int
    ) -> None:
        waited = self._tracing.wait(delivered, what, journey.parent, start, end)
        if not trace.get_current_span(journey.parent).get_span_context().is_valid:
            journey.parent = waited  # the trace begins with it
