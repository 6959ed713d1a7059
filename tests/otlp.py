"""A receiver of OTLP over HTTP that reads what arrives with OpenTelemetry's own message types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple
from zlib import MAX_WBITS, decompress

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

_GZIP = MAX_WBITS | 16


class Received(NamedTuple):
    """One span, as it arrived."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    start: int
    end: int
    attributes: dict[str, Any]
    events: list[str]
    failed: bool
    schema: str
    links: list[str]
    """Ids of the spans that it links to."""


class Receiver:
    """Keeps every span that was sent to it, and the newest of each metric."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Received] = []
        self.metrics: dict[tuple[str, str], Metric] = {}
        """By service and name."""
        self.about: dict[str, dict[str, Any]] = {}
        """What the newest metrics said of each service."""

    def take(self, path: str, body: bytes) -> None:
        """Read one request.

        Raises:
            DecodeError: it is none.
        """
        if path == "/v1/metrics":
            self._take_metrics(ExportMetricsServiceRequest.FromString(body))
            return
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _values(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_received(service, scope.schema_url, each) for each in scope.spans]

    def _take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        for resource in request.resource_metrics:
            about = _values(resource.resource.attributes)
            self.about[about["service.name"]] = about
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self.metrics[about["service.name"], metric.name] = metric

    def of(self, trace_id: str) -> list[Received]:
        """The spans of a trace by time."""
        return sorted((s for s in self.spans if s.trace_id == trace_id), key=lambda s: s.start)

    def named(self, name: str) -> list[Received]:
        return [span for span in self.spans if span.name == name]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """One that listens on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = decompress(body, _GZIP)
            found.take(self.path, body)
            # both answers are empty when everything was taken
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _received(service: str, schema: str, span: Span) -> Received:
    return Received(
        service=service,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_values(span.attributes),
        events=[event.name for event in span.events],
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        schema=schema,
        links=[link.span_id.hex() for link in span.links],
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def drawn(spans: list[Received]) -> str:
    """A trace as text: each span below its parent, with the time since it began and its length."""
    began = min(span.start for span in spans)
    known = {span.span_id for span in spans}
    lines: list[str] = []

    def draw(parent: str, depth: int) -> None:
        below = [s for s in spans if s.parent == parent or (not depth and s.parent not in known)]
        for span in sorted(below, key=lambda s: s.start):
            name = f"{'  ' * depth}{span.name}"
            after, length = (span.start - began) / 1e6, (span.end - span.start) / 1e6
            error = span.attributes.get("error.type", "")
            attempt = span.attributes.get("jetmesh.attempt", "")
            about = f"attempt {attempt}" if attempt and span.kind == "consumer" else ""
            line = f"{after:8.1f} {length:8.1f}  {span.service:<16}  {name:<46}  {about}  {error}"
            lines.append(line.rstrip())
            draw(span.span_id, depth + 1)

    draw("", 0)
    return "\n".join(lines)
