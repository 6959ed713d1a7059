"""Questions on the data plane: each gets its answer, or an error that says nobody knows."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import msgspec
import pytest

from jetmesh.errors import BrokerError
from jetmesh.transport.lookups import LookUps
from jetmesh.transport.publishes import ANSWER_TICKS, drop

NOTHING = b'{"error":{"code":404,"err_code":10037,"description":"no message found"}}'
NO_STREAM = b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}'
HEADERS = b"NATS/1.0\r\nNats-Msg-Id: shop:decide:PURCHASES:7:orders.validated.p-1\r\n\r\n"
FOUND = msgspec.json.encode(
    {
        "message": {
            "subject": "orders.validated.p-1",
            "seq": 5,
            "hdrs": b64encode(HEADERS).decode(),
            "data": b64encode(b"{}").decode(),
            "time": "2026-01-02T03:04:05.123456789Z",
        }
    }
)


class Asked(LookUps):
    """Questions with everything that was sent."""

    def __init__(self) -> None:
        super().__init__(b"_INBOX.a.l")
        self.sent: list[bytes] = []
        self.send = self.sent.append

    def answer(self, number: int, payload: bytes, headers: bytes = b"") -> None:
        self.on_answer(b"_INBOX.a.l.%d" % number, b"", headers, payload)


async def test_a_question_names_the_stream_and_the_subject() -> None:
    asked = Asked()
    asked.last("ORDERS", 'orders.*."p"')
    (frame,) = asked.sent
    assert frame.startswith(b"PUB $JS.API.STREAM.MSG.GET.ORDERS _INBOX.a.l.1 ")
    assert msgspec.json.decode(frame.split(b"\r\n")[1]) == {"last_by_subj": 'orders.*."p"'}


async def test_answers_in_any_order_reach_who_asked() -> None:
    asked = Asked()
    first, second = asked.last("ORDERS", "orders.*.p-1"), asked.last("ORDERS", "orders.*.p-2")
    asked.answer(2, NOTHING)
    asked.answer(1, FOUND)
    assert await second is None
    stored = await first
    assert stored is not None
    assert (stored.stream, stored.sequence) == ("ORDERS", 5)
    assert stored.subject == "orders.validated.p-1"
    assert stored.message_id == "shop:decide:PURCHASES:7:orders.validated.p-1"
    assert (stored.payload, stored.stored_at.second) == (b"{}", 5)


@pytest.mark.parametrize(
    ("payload", "headers", "reason"),
    [
        (NO_STREAM, b"", "stream not found"),
        (b"", b"NATS/1.0 503\r\n\r\n", "503"),
        (b"<html>", b"", "cannot be read"),
        (b"{}", b"", "empty"),
        (b'{"message":{"seq":1}}', b"", "cannot be read"),
        (b'{"message":{"subject":"a","seq":1,"time":"noon"}}', b"", "cannot be read"),
        (b'{"a":' * 100_000, b"", "cannot be read"),
    ],
)
async def test_what_is_no_answer_is_an_error(payload: bytes, headers: bytes, reason: str) -> None:
    """A stream that is gone has forgotten what was decided: that is not known either.

    Nothing else is raised: it would end the connection.
    """
    asked = Asked()
    question = asked.last("ORDERS", "orders.*.p-1")
    asked.answer(1, payload, headers)
    with pytest.raises(BrokerError, match=reason):
        await question


async def test_silence_is_an_error_after_a_while() -> None:
    asked = Asked()
    question = asked.last("ORDERS", "orders.*.p-1")
    for _ in range(ANSWER_TICKS - 1):
        asked.sweep()
    assert not question.done()
    asked.sweep()
    with pytest.raises(BrokerError, match="no answer"):
        await question
    asked.answer(1, FOUND)  # too late: nobody asks any more


async def test_a_lost_connection_fails_every_question() -> None:
    asked = Asked()
    questions = [asked.last("ORDERS", f"orders.*.p-{n}") for n in range(3)]
    asked.fail_all("the connection is lost")
    for question in questions:
        with pytest.raises(BrokerError, match="the connection is lost"):
            await question


async def test_without_a_connection_nothing_is_asked() -> None:
    asked = Asked()
    asked.send = drop
    with pytest.raises(BrokerError, match="not connected"):
        await asked.last("ORDERS", "orders.*.p-1")


async def test_who_gave_up_is_not_told() -> None:
    asked = Asked()
    question = asked.last("ORDERS", "orders.*.p-1")
    question.cancel()
    asked.answer(1, FOUND)
    asked.fail_all("later")
    with pytest.raises(asyncio.CancelledError):
        await question
