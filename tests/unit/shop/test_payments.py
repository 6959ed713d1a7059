"""What the gateway is asked for, and which event follows from its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from jetmesh import Reject, Retry, Unavailable
from jetmesh.operate.up.ports import free_port
from jetmesh.testing import aoutputs
from shop.gateway import Charged, Gateway, Refused, read_answer
from shop.payments import (
    POLICY,
    PaymentsSettings,
    captured,
    charge,
    declined,
    give_back,
    idempotency_key,
    request_of,
    service,
)
from shop.payments import gateway as open_gateway
from shop_contracts import DeclineReason, PaymentCaptured, PaymentDeclined
from tests.unit.shop import flow

AT = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)
CHARGED = b'{"status":"captured","id":"ch_1","created_at":"2026-11-23T12:00:05Z"}'
REFUSED = b'{"status":"declined","code":"%s","created_at":"2026-11-23T12:00:05Z"}'


Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def gateway_that(handle: Handle, key: str = "") -> AsyncIterator[Gateway]:
    """The service's client of a gateway under a path of a server, as many are."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server:
        settings = PaymentsSettings(gateway_url=str(server.make_url("/v1")), gateway_key=key)
        async with asynccontextmanager(open_gateway)(settings) as gateway:
            yield gateway


async def test_an_order_is_charged_with_the_key_of_its_purchase() -> None:
    seen: list[tuple[web.Request, bytes]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request, await request.read()))
        return web.Response(status=201, body=CHARGED)

    async with gateway_that(handle, key="our-key") as gateway:
        (event,) = await aoutputs(service, charge, flow.validated(), gateway=gateway)
    assert isinstance(event, PaymentCaptured)
    assert (event.reference, event.captured_at) == ("ch_1", AT)
    ((request, body),) = seen
    assert (request.method, request.path) == ("POST", "/v1/charges")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == idempotency_key("p-1")
    assert request.headers["authorization"] == "Bearer our-key"
    assert msgspec.json.decode(body) == {
        "amount": "9.00",
        "currency": "EUR",
        "token": "tok_ok",
        "description": "Purchase p-1",
    }


async def test_a_refused_charge_is_a_decline_that_says_why() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=402, body=REFUSED % b"expired_card")

    async with gateway_that(handle) as gateway:
        (event,) = await aoutputs(service, charge, flow.validated(), gateway=gateway)
    assert isinstance(event, PaymentDeclined)
    assert (event.reason, event.message) == (
        DeclineReason.EXPIRED_CARD,
        "The card has expired.",
    )


async def test_money_follows_no_redirect() -> None:
    async def handle(request: web.Request) -> web.Response:
        assert request.path == "/v1/charges"
        return web.Response(status=302, headers={"location": "/elsewhere"})

    async with gateway_that(handle) as gateway:
        with pytest.raises(Retry, match="302"):
            await aoutputs(service, charge, flow.validated(), gateway=gateway)


async def hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def hang_up_halfway(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": "100"})
    await response.prepare(request)
    await response.write(b"{")
    await hang_up(request)
    return response


async def say_nothing(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("handle", "kind"),
    [
        (hang_up, "ServerDisconnectedError"),
        (hang_up_halfway, "ClientPayloadError"),
        (say_nothing, "TimeoutError"),
    ],
)
async def test_a_gateway_that_does_not_answer_is_an_outage(
    handle: Handle, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shop.payments._REQUEST_SECONDS", 0.5)
    async with gateway_that(handle) as gateway:
        with pytest.raises(Unavailable, match=f"did not answer: {kind}"):
            await aoutputs(service, charge, flow.validated(), gateway=gateway)


async def test_a_gateway_that_is_not_there_is_an_outage() -> None:
    settings = PaymentsSettings(gateway_url=f"http://127.0.0.1:{free_port()}")
    async with asynccontextmanager(open_gateway)(settings) as gateway:
        with pytest.raises(Unavailable, match="did not answer: ClientConnectorError"):
            await gateway.find(KEY)


@pytest.mark.parametrize("status", [302, 408, 409, 425, 429, 500, 501])
def test_an_answer_that_may_be_another_next_time_is_a_retry(status: int) -> None:
    with pytest.raises(Retry, match=str(status)):
        read_answer(status, b"tok_secret")


@pytest.mark.parametrize("status", [401, 403, 404, 502, 503, 504])
def test_an_answer_that_every_order_would_get_is_an_outage(status: int) -> None:
    with pytest.raises(Unavailable, match=str(status)):
        read_answer(status, b"tok_secret")


@pytest.mark.parametrize("status", [400, 405, 413, 422])
def test_an_answer_that_stays_the_same_is_a_dead_letter(status: int) -> None:
    with pytest.raises(Reject, match=str(status)) as caught:
        read_answer(status, b"tok_secret is wrong")
    assert "tok_secret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"status":"pending"}', b"\xff"])
@pytest.mark.parametrize("status", [200, 201, 402])
def test_an_answer_that_cannot_be_read_is_asked_for_again(status: int, body: bytes) -> None:
    """The key makes it safe, and dead-lettering could hide a charge that was made."""
    with pytest.raises(Retry, match="cannot be read"):
        read_answer(status, body)


@pytest.mark.parametrize(
    ("code", "reason", "retryable"),
    [
        ("insufficient_funds", DeclineReason.INSUFFICIENT_FUNDS, True),
        ("expired_card", DeclineReason.EXPIRED_CARD, False),
        ("unknown_token", DeclineReason.UNKNOWN_TOKEN, False),
        ("refused", DeclineReason.REFUSED, True),
        ("a code of next year", DeclineReason.OTHER, False),
    ],
)
def test_every_code_has_a_reason_for_programs_and_a_sentence_for_people(
    code: str, reason: DeclineReason, *, retryable: bool
) -> None:
    event = declined(flow.validated(), Refused(code=code, created_at=AT))
    assert (event.reason, event.retryable) == (reason, retryable)
    assert event.message.endswith(".")


class Answers:
    """A gateway that answers by path, and what it was asked."""

    def __init__(self, status: int, body: bytes = b"") -> None:
        self.asked: list[tuple[str, str, str]] = []
        self._status, self._body = status, body

    async def handle(self, request: web.Request) -> web.Response:
        key = request.headers["idempotency-key"]
        self.asked.append((request.method, request.path, key))
        if request.method == "GET":
            return web.Response(status=self._status, body=self._body)
        return web.Response(body=CHARGED)


KEY = idempotency_key("p-1")
FIND, REFUND = ("GET", "/v1/charges", KEY), ("POST", "/v1/refunds", KEY)


@pytest.mark.parametrize(
    ("mine", "stored", "answers", "asked"),
    [
        (flow.captured(), flow.declined(), Answers(204), [REFUND]),
        (flow.declined(), flow.declined(), Answers(204), []),
        (None, flow.declined(), Answers(200, CHARGED), [FIND, REFUND]),
        (None, flow.declined(), Answers(200, REFUSED % b"refused"), [FIND]),
        (None, flow.declined(), Answers(204), [FIND]),
        (None, flow.captured(), Answers(200, CHARGED), []),
        (flow.captured(), flow.captured(), Answers(200, CHARGED), []),
    ],
)
async def test_a_charge_is_given_back_where_somebody_else_declined(
    mine: PaymentCaptured | PaymentDeclined | None,
    stored: PaymentCaptured | PaymentDeclined,
    answers: Answers,
    asked: list[tuple[str, str, str]],
) -> None:
    async with gateway_that(answers.handle) as gateway:
        await give_back(mine, stored, gateway)
    assert answers.asked == asked


async def test_a_gateway_that_cannot_tell_now_is_asked_again() -> None:
    async with gateway_that(Answers(500).handle) as gateway:
        with pytest.raises(Retry, match="500"):
            await give_back(None, flow.declined(), gateway)


def test_no_event_of_a_payment_carries_the_token() -> None:
    order = flow.validated()
    events = (
        captured(order, Charged(id="ch_1", created_at=AT)),
        declined(order, Refused(code="expired_card", created_at=AT)),
    )
    assert all(order.payment_token.encode() not in msgspec.json.encode(e) for e in events)


@pytest.mark.parametrize("purchase_id", ["p-1", "ü" * 100, "a\r\nb", "x" * 200])
def test_the_key_of_any_purchase_is_a_short_header_value(purchase_id: str) -> None:
    key = idempotency_key(purchase_id)
    assert key.isascii()
    assert key.isprintable()
    assert len(key) == 36


def test_the_key_of_a_purchase_never_changes() -> None:
    """Another value would charge every pending order a second time after an upgrade."""
    assert idempotency_key("p-1") == "caf41454-d3e7-5aa1-a337-ed14ecd0dc32"


def test_an_order_that_is_delivered_again_asks_for_the_same() -> None:
    """A gateway refuses a key that comes with another request."""
    order = flow.validated()
    again = msgspec.json.decode(msgspec.json.encode(order), type=type(order))
    first, second = (msgspec.json.encode(request_of(each)) for each in (order, again))
    assert first == second


def test_the_policy_outlasts_a_gateway_that_is_away_for_half_a_minute() -> None:
    shortest = sum(POLICY.delay(attempt, 0.5) for attempt in range(1, POLICY.attempts))
    assert shortest > 20
