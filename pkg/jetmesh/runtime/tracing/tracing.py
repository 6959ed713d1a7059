"""The tracer of one process: where its spans go, and which trace a message belongs to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from time import time_ns
from typing import Any, Final

import structlog
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from structlog.typing import EventDict, WrappedLogger

from jetmesh import wire
from jetmesh.privacy.mask import masked, name_of, text_of
from jetmesh.protocol import headers as header
from jetmesh.protocol.traces import trace_id_of
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.tracing import names
from jetmesh.runtime.tracing.exporters import exporters, named
from jetmesh.runtime.tracing.resource import resource_of
from jetmesh.transport.stored import StoredMessage

_OWN_TOKENS: Final = 3
"""Of a subject in the mesh's own streams: what stands behind them is about one message."""
_first: ContextVar[int] = ContextVar("_first", default=0)
"""The id of the trace that begins now; 0 for any."""


class _Ids(RandomIdGenerator):
    def generate_trace_id(self) -> int:
        return _first.get() or super().generate_trace_id()


class Tracing:
    """Makes the spans of one service.

    Which exporter, sampler and propagators, the standard variables say; the resource has the
    service's declared name and version.

    Raises:
        SettingsError: there is no such exporter.
    """

    def __init__(
        self, service: str, version: str, subjects: Iterable[str], environ: Mapping[str, str]
    ) -> None:
        self._subjects = frozenset(subjects)
        self.provider = TracerProvider(
            resource=resource_of(service, version), id_generator=_Ids(), shutdown_on_exit=False
        )
        wanted = named("OTEL_TRACES_EXPORTER", environ) or ["otlp"]
        for exporter in exporters("traces", wanted, environ):
            self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self.provider.get_tracer("jetmesh", version, names.SCHEMA)
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(self.provider)  # what users instrument joins
        processors = structlog.get_config()["processors"]
        if _with_ids not in processors:
            structlog.configure(processors=[_with_ids, *processors])

    def close(self) -> None:
        """Send what was not sent yet; may take as long as the exporter's time limit."""
        self.provider.shutdown()

    # spans

    def begin(
        self,
        delivered: Delivered,
        operation: str,
        context: Context,
        *,
        kind: SpanKind,
        more: Mapping[str, str],
        start: int | None = None,
        links: Sequence[Link] = (),
    ) -> Span:
        """A span about a delivery, below `context`; without a parent it begins the trace.

        What costs to find out is found out only for a span that is kept.
        """
        handler = delivered.durable.handler
        token = _first.set(trace_id_of(delivered.origin))
        try:
            span = self._tracer.start_span(
                f"{operation} {handler.input.subject}",
                context,
                kind=kind,
                attributes={
                    names.SYSTEM: "nats",
                    names.TEMPLATE: handler.input.subject,
                    names.GROUP: handler.durable,
                    **more,
                },
                start_time=start,
                links=links,
            )
        finally:
            _first.reset(token)
        if span.is_recording():
            with contextlib.suppress(Exception):  # a contract's own code may answer for its key
                span.set_attributes(_about(delivered))
        return span

    def wait(
        self, delivered: Delivered, what: str, context: Context, start: int, end: int
    ) -> Context:
        """The span of a wait that has a name; the context below it."""
        more = {names.WAIT: what}
        span = self.begin(
            delivered, f"wait {what}", context, kind=SpanKind.INTERNAL, start=start, more=more
        )
        span.end(max(start, end))
        return trace.set_span_in_context(span, context)

    def send(
        self, subject: bytes, headers: bytes, payload: bytes, links: Sequence[Link] = ()
    ) -> Span:
        """The span of a publish that begins now, below the current span.

        That one itself, where its trace is not kept.
        """
        current = trace.get_current_span()
        if is_left_out(current):
            return current
        destination = subject.decode(errors="replace")
        template = self._template(destination)
        return self._tracer.start_span(
            f"send {template}",
            kind=SpanKind.PRODUCER,
            attributes={
                names.SYSTEM: "nats",
                names.OPERATION_TYPE: "send",
                names.OPERATION_NAME: "send",
                names.DESTINATION: destination,
                names.TEMPLATE: template,
                names.BODY_SIZE: len(payload),
                names.MESSAGE_ID: wire.parse(headers).values.get(header.MESSAGE_ID, ""),
            },
            links=links,
        )

    def _template(self, subject: str) -> str:
        """A destination without what is about one message."""
        if subject in self._subjects:
            return subject
        start = subject.rpartition(".")[0]
        return start if start in self._subjects else ".".join(subject.split(".")[:_OWN_TOKENS])


_GIVEN: Final = {
    names.MESSAGE_ID: header.MESSAGE_ID.lower(),
    names.CONVERSATION: "correlation-id",
}


def is_left_out(span: Span) -> bool:
    """Whether the sampler left the trace of a span out; nothing more is told of it then."""
    context = span.get_span_context()
    return context.is_valid and not context.trace_flags.sampled


def _about(delivered: Delivered) -> dict[str, str | int]:
    handler, given = delivered.durable.handler, header_values(delivered.headers)
    return {
        names.DESTINATION: delivered.origin.subject,
        names.HANDLER: handler.title,
        names.KEY: delivered.key,
        names.CAUSE: delivered.cause,
        names.ATTEMPT: delivered.attempt,
        **{name: given[each] for name, each in _GIVEN.items() if each in given},
    }


def header_values(headers: bytes) -> dict[str, str]:
    """The headers of a message by their names in lower case."""
    if not headers:
        return {}
    values = wire.parse(headers).values
    return {name.lower(): value for name, value in values.items()}


def context_in(headers: bytes) -> Context:
    """What a message brings: the span that sent it, or nothing."""
    if not headers or not _names_a_span(headers):
        return Context()
    return propagate.extract(header_values(headers), Context())


def carrier_of(context: Context) -> dict[str, str]:
    """The headers of a message that is to be sent later, as if within `context`."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context)
    return carrier


def link_to(stored: StoredMessage) -> list[Link]:
    """A link to the span that sent the first outcome of a key, if its message names one."""
    values = {name.lower(): value for name, value in stored.headers.items()}
    found = trace.get_current_span(propagate.extract(values, Context())).get_span_context()
    return [Link(found, {names.LINK: "first outcome"})] if found.is_valid else []


def with_context(headers: bytes, span: Span) -> bytes:
    """The headers of a message that `span` sends, unless they name a span already."""
    if _names_a_span(headers):
        return headers  # a retry or a letter: it goes on with the trace of its origin
    carrier = carrier_of(trace.set_span_in_context(span))
    lines = "".join(f"{name}: {value}\r\n" for name, value in carrier.items())
    return headers[:-2] + lines.encode() + headers[-2:]


def _names_a_span(headers: bytes) -> bool:
    folded = headers.lower()
    return any(f"\n{name}:".encode() in folded for name in propagate.get_global_textmap().fields)


def failed(span: Span, error: BaseException, event: Any = None) -> None:
    """Say on a span what was raised, masked as in logs and letters."""
    if not span.is_recording():
        return
    name, text = name_of(error), ""
    with contextlib.suppress(Exception):  # masking runs the event's own code
        text = masked(text_of(error), event)
    span.set_attribute(names.ERROR_TYPE, name)
    span.set_status(Status(StatusCode.ERROR, text))
    span.add_event(
        names.EXCEPTION, {names.EXCEPTION_TYPE: name, names.EXCEPTION_MESSAGE: text}, time_ns()
    )


def _with_ids(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The trace of a log line."""
    current = trace.get_current_span().get_span_context()
    if current.is_valid:
        event["trace_id"] = trace.format_trace_id(current.trace_id)
        event["span_id"] = trace.format_span_id(current.span_id)
    return event
