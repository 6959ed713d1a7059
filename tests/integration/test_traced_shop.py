"""The shop traced: a purchase that is declined, after the gateway failed twice, up to the mail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession
from aiosmtpd.controller import Controller
from msgspec.json import encode
from opentelemetry import trace
from opentelemetry.propagate import inject

from jetmesh.operate.up.ports import free_port
from jetmesh.testing import mesh
from shop.gateway import Refused
from shop.notifications import service as notifications
from shop.order_validation import service as order_validation
from shop.payments import service as payments
from shop_contracts import NotificationSent
from tests.otlp import drawn, receiver

PURCHASE = Path(__file__).parents[2] / "examples" / "purchases" / "declined.json"
DECLINED = encode(Refused(code="insufficient_funds", created_at=datetime(2026, 11, 29, tzinfo=UTC)))


class Gateway:
    """Answers 500 twice, then that the account does not cover the amount."""

    def __init__(self) -> None:
        self.traces: list[str] = []
        """What each request said of its trace."""


@pytest.fixture
def gateway() -> Iterator[tuple[Gateway, str]]:
    seen = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.traces.append(self.headers.get("traceparent", ""))
            flaky = len(seen.traces) < 3
            body = b'{"message": "Try again later."}' if flaky else DECLINED
            self.send_response(500 if flaky else 402)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield seen, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class Mails:
    """Takes every mail."""

    async def handle_DATA(self, *_: object) -> str:  # noqa: N802 - aiosmtpd asks for this name
        return "250 OK"


@pytest.fixture
def smtp_port() -> Iterator[int]:
    controller = Controller(Mails(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller.port
    controller.stop()


async def traced(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    """What an instrumentation of the HTTP client does."""
    tracer = trace.get_tracer("aiohttp")
    with tracer.start_as_current_span(request.method, kind=trace.SpanKind.CLIENT):
        inject(request.headers)
        return await send(request)


async def test_a_declined_purchase_after_a_flaky_gateway_is_one_trace(
    gateway: tuple[Gateway, str], smtp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, url = gateway
    settings = {
        "JETMESH__SERVICES__PAYMENTS__SETTINGS__GATEWAY_URL": url,
        "JETMESH__SERVICES__NOTIFICATIONS__SETTINGS__SMTP_PORT": str(smtp_port),
        "JETMESH__SERVICES__NOTIFICATIONS__SETTINGS__SMTP_SECURITY": "none",
    }
    monkeypatch.setattr("shop.payments.ClientSession", partial(ClientSession, middlewares=[traced]))
    with receiver() as otlp:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
        async with mesh(payments, order_validation, notifications, settings=settings) as m:
            await m.publish("purchases.created", PURCHASE.read_bytes())
            await m.expect(NotificationSent, "p-declined-1")
            await m.settled()
    [trace_id] = {span.trace_id for span in otlp.spans if span.name.startswith("process")}
    spans = otlp.of(trace_id)
    if os.environ.get("SHOW_TRACE"):
        print(drawn(spans))  # noqa: T201 - what docs/observe.md shows
    charges = [span for span in spans if span.name == "process orders.validated"]
    assert [(span.attributes["jetmesh.attempt"], span.failed) for span in charges] == [
        (1, True),
        (2, True),
        (3, False),
    ]
    assert [each.split("-")[1] for each in seen.traces] == [trace_id] * 3
    [told] = [span for span in spans if span.name == "process payments.declined"]
    assert (told.service, told.failed) == ("notifications", False)
    assert [span.name for span in spans].count("wait retry orders.validated") == 2
    known = {span.span_id for span in spans}
    root = next(span.name for span in spans if span.parent not in known)
    assert root == "wait queue purchases.created"
