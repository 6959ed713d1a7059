"""What only a leader knows, and how many messages a key has."""

from __future__ import annotations

import pytest

from jetmesh.errors import BrokerError
from jetmesh.transport.lookups import NotGrantedError
from tests.unit.transport.test_lookups import NOTHING, PLACE, Asked

FOUND = (
    b'{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"c.s.h.k",'
    b'"seq":7,"data":"e30=","time":"2026-01-02T03:04:05.5Z"}}'
)


async def test_the_newest_message_is_asked_of_the_leader() -> None:
    asked = Asked()
    newest = asked.newest("CURSORS_s", "c.s.h.k")
    body = b'{"last_by_subj":"c.s.h.k"}'
    start = b"PUB $JS.API.STREAM.MSG.GET.CURSORS_s _INBOX.a.l.1 %d\r\n" % len(body)
    assert asked.sent == [start + body + b"\r\n"]
    asked.answer(1, FOUND)
    stored = await newest
    assert stored is not None
    assert (stored.sequence, stored.payload, stored.subject) == (7, b"{}", "c.s.h.k")


async def test_that_there_is_none_is_an_answer_and_a_refusal_is_none() -> None:
    asked = Asked()
    none, refused, denied = (asked.newest("S", "c") for _ in range(3))
    asked.answer(1, b'{"error":{"code":404,"err_code":10037,"description":"no message found"}}')
    asked.answer(2, b'{"error":{"code":503,"err_code":10008,"description":"no leader"}}')
    asked.denied("the permission")
    assert await none is None
    with pytest.raises(BrokerError, match="no leader"):
        await refused
    with pytest.raises(NotGrantedError):
        await denied


async def test_messages_of_a_key_are_counted_without_being_read() -> None:
    asked = Asked()
    some, one, none = (asked.count("S", "c", 5) for _ in range(3))
    batch = b"Nats-Num-Pending: 11\r\nNats-Last-Sequence: 0\r\n"
    asked.answer(1, b"{}", b"NATS/1.0\r\n" + PLACE + batch + b"\r\n")
    asked.answer(1, b"", b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 11\r\n\r\n")
    asked.answer(2, b"{}", b"NATS/1.0\r\n" + PLACE + b"Nats-Num-Pending: 0\r\n\r\n")
    asked.answer(3, b"", NOTHING)
    assert (await some, await one, await none) == (12, 1, 0)
