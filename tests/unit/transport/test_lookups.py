"""Questions on the data plane: each gets its answer, or an error that says nobody knows."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from jetmesh.errors import BrokerError
from jetmesh.transport.lookups import LookUps, NotGrantedError
from jetmesh.transport.publishes import ANSWER_TICKS, drop

NOTHING = b"NATS/1.0 404 Message Not Found\r\n\r\n"
ID = b"shop:decide:PURCHASES:7:orders.validated.p-1"
AT = b"Nats-Time-Stamp: 2026-01-02T03:04:05.123456789Z\r\n"
PLACE = b"Nats-Stream: ORDERS\r\nNats-Subject: orders.validated.p-1\r\nNats-Sequence: 5\r\n" + AT
FOUND = b"NATS/1.0\r\nNats-Msg-Id: " + ID + b"\r\n" + PLACE + b"\r\n"


class Asked(LookUps):
    """Questions with everything that was sent."""

    def __init__(self) -> None:
        super().__init__(b"_INBOX.a.l")
        self.sent: list[bytes] = []
        self.send = self.sent.append

    def answer(self, number: int, payload: bytes, headers: bytes = b"") -> None:
        self.on_answer(b"_INBOX.a.l.%d" % number, b"", headers, payload)


async def test_a_question_names_the_stream_and_the_subject() -> None:
    """On the subject alone: a grant for it lets nobody read anything else."""
    asked = Asked()
    asked.last("ORDERS", "orders.*.p-1")
    assert asked.sent == [b"PUB $JS.API.DIRECT.GET.ORDERS.orders.*.p-1 _INBOX.a.l.1 0\r\n\r\n"]


async def test_answers_in_any_order_reach_who_asked() -> None:
    asked = Asked()
    first, second = asked.last("ORDERS", "orders.*.p-1"), asked.last("ORDERS", "orders.*.p-2")
    asked.answer(2, b"", NOTHING)
    asked.answer(1, b"{}", FOUND)
    assert await second is None
    stored = await first
    assert stored is not None
    assert (stored.stream, stored.sequence) == ("ORDERS", 5)
    assert stored.subject == "orders.validated.p-1"
    assert stored.message_id == "shop:decide:PURCHASES:7:orders.validated.p-1"
    assert (stored.payload, stored.stored_at.second) == (b"{}", 5)
    assert stored.headers == {"Nats-Msg-Id": ID.decode()}


async def test_where_a_message_claims_to_stand_is_not_believed() -> None:
    asked = Asked()
    question = asked.last("ORDERS", "orders.*.p-1")
    claims = b"Nats-Stream: A\r\nNats-Subject: b\r\nNats-Sequence: 9\r\nNats-Time-Stamp: 1\r\n"
    asked.answer(1, b"{}", b"NATS/1.0\r\n" + claims + PLACE + b"\r\n")
    stored = await question
    assert stored is not None
    assert (stored.stream, stored.subject, stored.sequence) == (
        "ORDERS",
        "orders.validated.p-1",
        5,
    )


async def test_the_first_message_of_a_subject_from_a_sequence_on_is_asked_of_the_stream() -> None:
    asked = Asked()
    question = asked.since("ORDERS", "orders.noted", 17)
    (frame,) = asked.sent
    assert frame.startswith(b"PUB $JS.API.DIRECT.GET.ORDERS _INBOX.a.l.1 ")
    wanted = msgspec.json.decode(frame.split(b"\r\n")[1])
    assert wanted == {"seq": 17, "next_by_subj": "orders.noted"}
    asked.answer(1, b"{}", FOUND)
    stored = await question
    assert stored is not None
    assert stored.sequence == 5


async def test_who_may_not_ask_is_told_so_at_once() -> None:
    asked = Asked()
    questions = [asked.last("ORDERS", "orders.*.p-1"), asked.since("ORDERS", "orders.noted", 17)]
    asked.denied("the broker's user lacks the permission")
    for question in questions:
        with pytest.raises(NotGrantedError, match="lacks the permission"):
            await question


@pytest.mark.parametrize(
    ("payload", "headers", "reason"),
    [
        (b"", b"NATS/1.0 503\r\n\r\n", "503"),
        (b"<html>", b"", "cannot be read"),
        (b"{}", b"NATS/1.0\r\nNats-Stream: A\r\n\r\n", "cannot be read"),
        (b"{}", FOUND.replace(b"2026-01", b"noon"), "cannot be read"),
        (b"{}", FOUND.replace(b": 5", b": five"), "cannot be read"),
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
    asked.answer(1, b"{}", FOUND)  # too late: nobody asks any more


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
    asked.answer(1, b"{}", FOUND)
    asked.fail_all("later")
    with pytest.raises(asyncio.CancelledError):
        await question
