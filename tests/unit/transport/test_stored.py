"""Answers of JetStream: whatever arrives is what was asked for, or an error that says why not."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from jetmesh.errors import BrokerError
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import (
    NO_STREAM,
    NOT_FOUND,
    ApiError,
    PubAck,
    Reason,
    accepted,
    message_in,
    read,
    time_of,
)

REFUSED = b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}'
GARBLED = [
    b"",
    b"<html>",
    b"[]",
    b'"text"',
    b'{"error":"text"}',
    b'{"error":{"code":"many"}}',
    b'{"error":{"code":500,"description":"\xff"}}',
    b'{"message":{"seq":1}}',
    b'{"message":{"subject":"a","seq":1,"time":"noon"}}',
    b'{"message":{"subject":"a","seq":1,"time":"2026-01-02T03:04:05Z","hdrs":"!"}}',
    b'{"stream":7}',
    b'{"a":' * 100_000,
]
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.sampled_from(["error", "message", "code", "seq"]), inner),
)


def stored(headers: bytes) -> bytes:
    found = {"subject": "a.b", "seq": 5, "time": "2026-01-02T03:04:05.123456789Z"}
    return msgspec.json.encode({"message": {**found, "hdrs": b64encode(headers).decode()}})


@given(st.binary(max_size=60) | json.map(msgspec.json.encode), st.binary(max_size=40))
@example(REFUSED, b"NATS/1.0 503\r\n\r\n")
def test_nothing_is_too_garbled_to_be_judged(payload: bytes, headers: bytes) -> None:
    """Who may publish on our inbox must not end the connection by it."""
    answer = read(payload, headers, "nobody")
    with contextlib.suppress(BrokerError):
        assert message_in("ORDERS", "ORDERS", answer).stream == "ORDERS"


@given(st.binary(max_size=200))
def test_a_message_is_found_whatever_its_headers(headers: bytes) -> None:
    found = message_in("ORDERS", "ORDERS", read(stored(headers)))
    assert (found.stream, found.sequence, found.subject, found.payload) == ("ORDERS", 5, "a.b", b"")


@pytest.mark.parametrize("payload", GARBLED, ids=lambda payload: repr(payload[:40]))
def test_what_cannot_be_read_is_told_so(payload: bytes) -> None:
    with pytest.raises(BrokerError, match=r"ORDERS: the answer cannot be read\.") as raised:
        accepted("ORDERS", read(payload))
    assert not isinstance(raised.value, ApiError), "it is not the server that refused"


def test_a_refusal_gives_its_reason_and_both_codes() -> None:
    with pytest.raises(ApiError, match=r"ORDERS: stream not found \(10059\)\.") as raised:
        accepted("ORDERS", read(REFUSED))
    assert (raised.value.code, raised.value.err_code) == (NOT_FOUND, NO_STREAM)
    assert raised.value.description == "stream not found"


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        (b"NATS/1.0 503\r\n\r\n", "nobody listens (503)"),
        (b"NATS/1.0 503 No Responders\r\n\r\n", "No Responders (503)"),
        (b"NATS/1.0 408 Request Timeout\r\n\r\n", "Request Timeout (408)"),
    ],
)
def test_a_status_is_a_reason(headers: bytes, text: str) -> None:
    error = read(b"", headers, "nobody listens").error
    assert str(error) == text


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason(404, 10037, "no message found"), "no message found (10037)"),
        (Reason(503, 0, "no leader"), "no leader (503)"),
        (Reason(description="the answer cannot be read"), "the answer cannot be read"),
    ],
)
def test_a_reason_tells_its_most_exact_code(reason: Reason, text: str) -> None:
    assert str(reason) == text


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.1234564Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_the_server_writes_it(text: str, time: datetime) -> None:
    assert time_of(text) == time


def test_what_is_no_time_is_an_error() -> None:
    with pytest.raises(ValueError, match="Invalid RFC3339"):
        time_of("noon")


# the control plane


def answered(monkeypatch: pytest.MonkeyPatch, payload: bytes) -> ControlPlane:
    """A control plane whose every request is answered with `payload`."""
    plane = ControlPlane(NatsSettings(), "test")

    async def answer(*_: object) -> Msg:
        return Msg(Client(), data=payload)

    monkeypatch.setattr(plane._session, "request", answer)
    return plane


ASKED: list[Callable[[ControlPlane], Awaitable[object]]] = [
    lambda plane: plane.api("STREAM.INFO.ORDERS"),
    lambda plane: plane.publish("orders.a", b"{}"),
    lambda plane: plane.last("ORDERS", "orders.a"),
    lambda plane: plane.message("ORDERS", 1),
]


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize("payload", GARBLED, ids=lambda payload: repr(payload[:40]))
async def test_a_garbled_answer_is_an_error_of_the_broker(
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[ControlPlane], Awaitable[object]],
    payload: bytes,
) -> None:
    with pytest.raises(BrokerError, match="the answer cannot be read"):
        await ask(answered(monkeypatch, payload))


async def test_bytes_that_are_no_text_are_an_error_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(BrokerError, match="the answer cannot be read"):
        await answered(monkeypatch, b'{"config":"\xff"}').api("STREAM.INFO.ORDERS")


async def test_what_is_not_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = answered(monkeypatch, REFUSED)
    assert await plane.last("ORDERS", "orders.a") is None
    assert await plane.message("ORDERS", 1) is None


async def test_a_puback_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = answered(monkeypatch, b'{"stream":"ORDERS","seq":5,"duplicate":true}')
    assert await plane.publish("orders.a", b"{}") == PubAck("ORDERS", 5, duplicate=True)


async def test_an_answer_that_is_no_puback_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokerError, match="the answer does not come from a stream"):
        await answered(monkeypatch, b"{}").publish("orders.a", b"{}")
