"""What neither a retry nor a letter could be stored of: it stays, that is told, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from jetmesh import Duration, Policy, Reject, Retry
from jetmesh.runtime.message import unstorable
from tests.unit.runtime.message.desk import STREAM, Desk, Placed, origin
from tests.unit.runtime.message.wire import Ack, Nak, Term

POLICY = Policy(backoff_cap=Duration(42), ack_wait=Duration(30))


def desk_of(*errors: Exception | None) -> Desk:
    """A handler that ends in one after another, `Reject` in the first place."""
    left = iter((Reject("never"), *errors))

    def look(placed: Placed) -> None:
        if error := next(left, None):
            raise error

    return Desk(look, policy=POLICY)


def unstored(desk: Desk, sequence: int = 17, **more: Any) -> bytes:
    """A delivery of which not even the letter can be stored."""
    reply = desk.deliver(sequence=sequence, **more)
    desk.wire.pending[-1].impossible("too large")
    desk.wire.pending[-1].impossible("sealed")
    return reply


def problem(desk: Desk) -> str:
    return desk.consumer.verdicts.unstorable.problem


def test_an_input_whose_letter_cannot_be_stored_stays_and_that_is_told() -> None:
    desk = desk_of()
    reply = unstored(desk)
    assert desk.wire.verdicts == [Nak(reply, 42)]
    assert problem(desk) == f"{STREAM}:17 cannot be dead-lettered: sealed"
    assert (desk.in_flight, desk.source.unsettled) == (0, 0)
    assert (desk.stats.failed, desk.stats.dead, desk.stats.retried) == (1, 0, 0)


def test_it_is_told_until_its_message_is_handled() -> None:
    desk = desk_of(None)
    unstored(desk)
    reply = desk.deliver(sequence=17, number=2)
    assert desk.wire.verdicts[-1] == Ack(reply)
    assert problem(desk) == ""


def test_it_is_told_until_its_letter_is_stored() -> None:
    desk = desk_of(Reject("never"))
    unstored(desk)
    reply = desk.deliver(sequence=17, number=2)
    assert problem(desk)
    desk.wire.pending[0].stored()
    assert desk.wire.verdicts[-1] == Term(reply, "dead-lettered")
    assert problem(desk) == ""


def test_it_is_told_until_its_message_waits_on_the_lane() -> None:
    desk = desk_of(Retry(after=60))
    unstored(desk)
    desk.deliver(sequence=17, number=2)
    assert problem(desk)
    desk.wire.pending[0].stored()
    assert problem(desk) == ""


def test_the_letter_or_retry_of_another_message_changes_nothing() -> None:
    desk = desk_of(Reject("never"), Retry(after=60), None)
    unstored(desk)
    desk.deliver(sequence=18)
    desk.deliver_on_lane(sequence=17, origin=origin(19))
    for sent in desk.wire.pending:
        sent.stored()
    desk.deliver(sequence=20)
    assert len(desk.wire.verdicts) == 4
    assert problem(desk) == f"{STREAM}:17 cannot be dead-lettered: sealed"


def test_several_are_told_by_the_newest_and_their_number() -> None:
    desk = desk_of(Reject("never"), Reject("never"), None)
    for sequence in (17, 18, 19):
        unstored(desk, sequence)
    assert problem(desk) == f"{STREAM}:19 cannot be dead-lettered: sealed (and 2 more)"
    desk.deliver(sequence=19, number=2)
    assert problem(desk) == f"{STREAM}:18 cannot be dead-lettered: sealed (and 1 more)"


def test_what_another_replica_got_is_forgotten_when_it_does_not_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(unstorable, "monotonic", lambda: now)
    desk = desk_of()
    unstored(desk)
    now += 42 + 30  # it came again after the pause, and may have run for ack_wait
    assert problem(desk)
    now += 10.1
    assert problem(desk) == ""


def test_what_comes_again_and_is_unstorable_again_is_told_for_as_long_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(unstorable, "monotonic", lambda: now)
    desk = desk_of(Reject("never"))
    unstored(desk)
    now += 42
    unstored(desk, number=2)
    now += 80
    assert problem(desk)
    now += 10
    assert problem(desk) == ""


def test_a_message_without_a_payload_is_stored_without_the_headers_of_others_too() -> None:
    desk = desk_of()
    reply = desk.deliver(b"", headers={"Trace": "t" * 1000})
    desk.wire.pending[0].impossible("too large")
    (smaller,) = desk.wire.pending
    assert "Trace" not in smaller.headers
    smaller.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]
