"""A stream that was deleted and made again counts from 1: every message keeps a name of its own."""

from __future__ import annotations

import pytest

from jetmesh import Delivery, Policy
from tests.unit.runtime.message.desk import QUICK, STREAM, Desk, Placed, all_that_can_run
from tests.unit.runtime.message.wire import STORED_NS, Nak, Published, Term

LATER_NS = STORED_NS + 60_000_000_000
"""When the message of the new stream was stored."""
ONCE = Policy(attempts=1)
NO_ROOM = Policy(max_ack_pending=16, concurrency=1)
"""One waits in place; all others go to the lane."""


def broken(*, policy: Policy = QUICK, attempts: list[int] | None = None) -> Desk:
    def look(placed: Placed, about: Delivery) -> None:
        if attempts is not None:
            attempts.append(about.attempt)
        raise ValueError("broken")

    return Desk(look, policy=policy)


def ids(sent: list[Published]) -> list[str]:
    return [each.headers["Nats-Msg-Id"] for each in sent]


@pytest.mark.parametrize("given", [Placed("k-1"), b"garbage"])
def test_each_has_a_letter_of_its_own(given: Placed | bytes) -> None:
    desk = broken(policy=ONCE)
    desk.wire.fate = Published.stored
    desk.deliver(given, sequence=2)
    desk.deliver(given, sequence=2, stored_ns=LATER_NS)
    assert ids(desk.wire.published) == [
        f"desk:look:{STREAM}:2-{STORED_NS}:deadletter",
        f"desk:look:{STREAM}:2-{LATER_NS}:deadletter",
    ]
    assert [type(each) for each in desk.wire.verdicts] == [Term, Term]


def test_each_has_a_retry_and_a_place_on_the_lane_of_its_own() -> None:
    desk = broken(policy=NO_ROOM)
    desk.wire.fate = Published.stored
    desk.deliver(sequence=1)
    desk.deliver(sequence=2)
    desk.deliver(sequence=2, stored_ns=LATER_NS)
    first, second = desk.wire.published
    assert first.subject != second.subject
    assert ids([first, second]) == [
        f"desk:look:{STREAM}:2-{STORED_NS}:retry:1",
        f"desk:look:{STREAM}:2-{LATER_NS}:retry:1",
    ]


async def test_a_message_of_the_old_stream_that_fails_takes_no_verdict_from_the_new_one() -> None:
    """It runs while the stream is made again, and fails only then: it went with its stream."""
    keys: list[str] = []
    desk: Desk

    async def look(placed: Placed) -> None:
        keys.append(placed.order_id)
        if placed.order_id == "old":
            while len(keys) == 1:
                await all_that_can_run()
        raise ValueError("broken")

    desk = Desk(look, policy=ONCE)
    desk.deliver(Placed("old"), sequence=2)
    await all_that_can_run()
    reply = desk.deliver(Placed("new"), sequence=2, stored_ns=LATER_NS)
    for _ in range(5):
        await all_that_can_run()
    (letter,) = desk.wire.published
    assert letter.headers["Nats-Msg-Id"] == f"desk:look:{STREAM}:2-{LATER_NS}:deadletter"
    assert b"new" in letter.payload
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]


def test_the_new_one_does_not_inherit_the_failures_of_the_old_one() -> None:
    attempts: list[int] = []
    desk = broken(attempts=attempts)
    desk.deliver(sequence=2)
    assert isinstance(desk.wire.verdicts[-1], Nak)
    desk.deliver(sequence=2, number=2, stored_ns=LATER_NS)
    assert attempts == [1, 1]
    desk.deliver(sequence=2, number=2)
    assert attempts == [1, 1, 2]
