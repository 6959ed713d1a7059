"""Traces what remembers: each run of a handler, each step with the inputs that it takes in.

A step is sent in the span of the newest input that it was made of, and links to the attempts of the
others. What follows from an input belongs to the attempt of that input, whichever step stored it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span

from jetmesh import wire
from jetmesh.errors import Unavailable
from jetmesh.protocol import headers as header
from jetmesh.protocol.deadlines import Pending
from jetmesh.protocol.steps import Following
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.states.moving import ProcessRunner
from jetmesh.runtime.message.states.remembering import StateRunner
from jetmesh.runtime.message.states.ringing import Effect
from jetmesh.runtime.message.states.steps import Steps
from jetmesh.runtime.tracing import names
from jetmesh.runtime.tracing.contexts import racing, within
from jetmesh.runtime.tracing.journey import journey_of
from jetmesh.runtime.tracing.runner import TracedRunner
from jetmesh.runtime.tracing.tracing import carrier_of, context_in
from jetmesh.transport.reader import NewerVersion, Removed
from jetmesh.transport.seam import Waiter

_MOST: Final = 10_000
"""Outputs whose attempt is known: who finds others unfinished begins a trace of its own."""


class TracedSteps(Steps):
    """`Steps`, whose messages are sent within the attempts that led to them."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._attempts: dict[str, Context] = {}
        """By the message id of an output."""
        self._send_output, self._outlet.publish = self._outlet.publish, self._publish_output
        self._send_alarm, self.alarms.publish = self.alarms.publish, self._publish_alarm

    def follows(self, output: Following, delivered: Delivered) -> None:
        """Know which attempt an output follows from."""
        if (attempt := journey_of(delivered).attempt) is not None:
            if len(self._attempts) >= _MOST:
                self._attempts.clear()
            self._attempts[output.id] = attempt

    def _take_in(self, step: Any, given: Any) -> None:
        before = len(step.following)
        super()._take_in(step, given)
        if given.delivered.deadline is not None:
            for event in step.following[before:]:
                self.follows(event, given.delivered)

    def _store(self, step: Any) -> None:
        tried = [journey_of(given.delivered).attempt for given in step.taken]
        attempts = [attempt for attempt in tried if attempt is not None]
        own = attempts.pop() if attempts else Context()
        spans = [trace.get_current_span(each).get_span_context() for each in attempts]
        links = [Link(span, {names.LINK: "input"}) for span in spans if span.is_valid]
        with within(racing(own, links)):
            super()._store(step)

    def on_refused(self, step: Any) -> None:
        for given in step.taken:
            journey_of(given.delivered).races += 1
        super().on_refused(step)

    def _publish_output(
        self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter
    ) -> None:
        identity = wire.parse(headers).values.get(header.MESSAGE_ID, "")
        with within(racing(self._attempts.get(identity, Context()), [])):
            self._send_output(subject, headers, payload, waiter)

    def _publish_alarm(
        self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter
    ) -> None:
        """One that is set says whose it is; whoever finds it unset sets it in that trace, too."""
        asked = context_in(headers)
        with within(racing(asked, []) if asked else contexts.get_current()):
            self._send_alarm(subject, headers, payload, waiter)


class TracedStateRunner(TracedRunner, StateRunner):
    """`StateRunner`, each run of which is a span, as of any handler."""

    _steps: TracedSteps

    def handled(self, delivered: Delivered) -> None:
        if journey_of(delivered).attempt is None:
            self._no_attempt(delivered, None)  # it is in the state already
        with self._inside(delivered):
            super().handled(delivered)

    def postpone(self, delivered: Delivered) -> None:
        with self._inside(delivered):
            super().postpone(delivered)

    def _judge(self, delivered: Delivered, failure: BaseException) -> None:
        if journey_of(delivered).attempt is None and not isinstance(
            failure, Removed | NewerVersion
        ):
            self._no_attempt(delivered, failure)
        if isinstance(failure, Unavailable):
            journey_of(delivered).waits("outage")
        with self._inside(delivered):
            super()._judge(delivered, failure)

    def _note_first(self, delivered: Delivered, leave: Callable[[], None]) -> None:
        def leave_inside() -> None:
            with self._inside(delivered):
                leave()

        super()._note_first(delivered, leave_inside)

    def handle(self, delivered: Delivered, value: Any, token: str) -> Any:
        found, effects = super().handle(delivered, value, token)
        for each in effects:
            if isinstance(each, Following):
                self._steps.follows(each, delivered)
        return found, tuple(_within(journey_of(delivered).attempt, each) for each in effects)

    def _begin_attempt(self, delivered: Delivered) -> tuple[Context, Span]:
        context, span = super()._begin_attempt(delivered)
        if races := journey_of(delivered).races:
            span.set_attribute(names.RACES, races)
        return context, span

    def _inside(self, delivered: Delivered) -> within:
        journey = journey_of(delivered)
        return within(journey.attempt or journey.parent)


class TracedProcessRunner(TracedStateRunner, ProcessRunner):
    """`ProcessRunner`, likewise."""


def _within(attempt: Context | None, effect: Effect) -> Effect:
    """A deadline knows in which attempt it was asked for, whoever fires it, and when."""
    if attempt is None or not isinstance(effect, Pending):
        return effect
    return replace(effect, trace=carrier_of(attempt))
