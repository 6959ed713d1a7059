"""What becomes of a failure: again in place, again on the lane, or a dead letter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetmesh import Delivery, Duration, Policy, Reject, Retry
from jetmesh.runtime.message import verdicts
from tests.unit.runtime.message.desk import STREAM, Desk, Placed, origin
from tests.unit.runtime.message.wire import STORED_NS, Ack, Nak, Published, Term

LATER = f"lanes.desk.look.DESK_IN.1-{STORED_NS}.later"
LETTER = "deadletters.desk.look.k-1"


class Failing:
    """A handler that raises one error after another, then none; it notes its attempts."""

    def __init__(self, *errors: Exception) -> None:
        self.attempts: list[int] = []
        self._errors = iter(errors)

    def desk(self, **more: Any) -> Desk:
        def look(placed: Placed, about: Delivery) -> None:
            self.attempts.append(about.attempt)
            error = next(self._errors, None)
            if error is not None:
                raise error

        return Desk(look, **more)


def failing(error: Callable[[], Exception] = ValueError, **more: Any) -> Desk:
    """One that fails for ever."""
    return Failing(*(error() for _ in range(50))).desk(**more)


def nak_of(desk: Desk) -> Nak:
    """The newest verdict, which is a NAK."""
    verdict = desk.wire.verdicts[-1]
    assert isinstance(verdict, Nak)
    return verdict


def due_in(retry: Published) -> float:
    """Seconds until a retry on the lane is delivered."""
    at = datetime.fromisoformat(retry.headers["Nats-Schedule"].removeprefix("@at "))
    return (at - datetime.now(UTC)).total_seconds()


# again


def test_the_first_retry_waits_in_place_and_its_failure_is_remembered() -> None:
    handler = Failing(ValueError("first"))
    desk = handler.desk(policy=Policy(backoff=Duration(0.5)))
    first = desk.deliver(number=1)
    assert desk.wire.sent == [nak_of(desk)]
    assert nak_of(desk).reply == first
    assert 0.05 <= nak_of(desk).delay <= 0.5
    assert (desk.in_flight, desk.source.unsettled) == (0, 0)
    assert (desk.stats.failed, desk.stats.retried) == (1, 1)
    second = desk.deliver(number=2)
    assert handler.attempts == [1, 2]
    assert desk.wire.verdicts[-1] == Ack(second)


def test_the_second_retry_goes_to_the_lane_and_its_input_is_acked_once_it_is_stored() -> None:
    desk = failing(lambda: ValueError("broken"))
    desk.deliver(Placed("k-1"), number=1, headers={"Correlation-Id": "story-1", "Nats-X": "no"})
    reply = desk.deliver(
        Placed("k-1"), number=2, headers={"Correlation-Id": "story-1", "Nats-X": "no"}
    )
    (retry,) = desk.wire.published
    assert (retry.subject, retry.payload) == (LATER, b'{"order_id":"k-1","note":""}')
    told = retry.headers
    assert told.pop("Nats-Schedule").startswith("@at ")
    assert told == {
        "Correlation-Id": "story-1",
        "Nats-Msg-Id": f"desk:look:{STREAM}:1-{STORED_NS}:retry:2",
        "Nats-Schedule-Target": "lanes.desk.look.k-1",
        "Jetmesh-Subject": "desk-in.placed.k-1",
        "Jetmesh-Stream": STREAM,
        "Jetmesh-Sequence": "1",
        "Jetmesh-Stored-At": "2023-11-14T22:13:20.123456789+00:00",
        "Jetmesh-Attempts": "2",
        "Jetmesh-Error": "ValueError",
        "Jetmesh-Message": "broken",
    }
    assert (len(desk.wire.verdicts), desk.in_flight) == (1, 1)
    retry.stored()
    assert desk.wire.verdicts[-1] == Ack(reply)
    assert (desk.in_flight, desk.source.unsettled) == (0, 0)
    assert (desk.stats.failed, desk.stats.retried, desk.stats.acked) == (2, 2, 0)


def test_a_failure_on_the_lane_is_counted_on_and_waits_on_the_lane_again() -> None:
    handler = Failing(ValueError())
    desk = handler.desk()
    reply = desk.deliver_on_lane(sequence=9, origin=origin(1, attempts=3))
    (retry,) = desk.wire.published
    assert handler.attempts == [4]
    assert retry.subject == LATER
    assert retry.headers["Jetmesh-Attempts"] == "4"
    assert retry.headers["Nats-Msg-Id"] == f"desk:look:LANES_desk:9-{STORED_NS}:retry:1"
    retry.stored()
    assert desk.wire.verdicts == [Ack(reply)]
    assert desk.lane.unsettled == 0


def test_a_retry_that_is_not_soon_goes_to_the_lane_at_once() -> None:
    desk = failing(lambda: Retry(after=2.01))
    desk.deliver()
    assert desk.wire.verdicts == []
    (retry,) = desk.wire.published
    assert 1.5 < due_in(retry) <= 2.01


def test_only_a_share_of_what_may_be_pending_waits_in_place() -> None:
    desk = failing(policy=Policy(max_ack_pending=64, attempts=9))
    for sequence in range(1, 7):
        desk.deliver(sequence=sequence)
    assert [type(each) for each in desk.wire.verdicts] == [Nak] * 4
    assert len(desk.wire.published) == 2
    desk.deliver(sequence=1, number=2)
    desk.deliver(sequence=7)
    assert [type(each) for each in desk.wire.verdicts] == [Nak] * 5


def test_one_may_always_wait_in_place() -> None:
    desk = failing(policy=Policy(max_ack_pending=1, concurrency=1))
    desk.deliver(sequence=1)
    desk.deliver(sequence=2)
    assert (len(desk.wire.verdicts), len(desk.wire.published)) == (1, 1)


def test_what_another_process_took_over_makes_room_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = failing(policy=Policy(max_ack_pending=16, concurrency=1))
    desk.deliver(sequence=1)
    monkeypatch.setattr(verdicts, "_FORGET_SECONDS", -10.0)
    desk.deliver(sequence=2)
    assert [type(each) for each in desk.wire.verdicts] == [Nak, Nak]


def test_a_redelivery_whose_failures_nobody_remembers_is_a_first_attempt() -> None:
    handler = Failing(ValueError())
    desk = handler.desk()
    desk.deliver(number=2)
    assert handler.attempts == [1]
    assert desk.wire.published[0].headers["Jetmesh-Attempts"] == "1"


def test_a_retry_too_large_for_the_lane_waits_in_place_and_is_counted_all_the_same() -> None:
    desk = failing(policy=Policy(attempts=3))
    desk.wire.fate = lambda sent: sent.impossible() if sent.subject == LATER else sent.stored()
    for number in (1, 2, 3):
        desk.deliver(number=number)
    assert [type(each) for each in desk.wire.verdicts] == [Nak, Nak, Term]
    assert [each.subject for each in desk.wire.published] == [LATER, LETTER]
    assert desk.wire.published[-1].headers["Jetmesh-Attempts"] == "3"
    assert (desk.stats.failed, desk.stats.retried, desk.stats.dead) == (3, 2, 1)


# how often


def test_a_message_is_dead_lettered_at_the_last_of_its_attempts() -> None:
    desk = failing(policy=Policy(attempts=5))
    desk.deliver_on_lane(sequence=1, origin=origin(1, attempts=3))
    desk.deliver_on_lane(sequence=2, origin=origin(1, attempts=4))
    retry, letter = desk.wire.published
    assert (retry.subject, letter.subject) == (LATER, LETTER)
    assert letter.headers["Jetmesh-Attempts"] == "5"
    assert letter.headers["Nats-Msg-Id"] == f"desk:look:{STREAM}:1-{STORED_NS}:deadletter"


def test_a_replay_has_a_letter_of_its_own() -> None:
    desk = failing(policy=Policy(attempts=1))
    desk.deliver_on_lane(origin=origin(1, attempts=0, replays=2))
    (letter,) = desk.wire.published
    assert letter.headers["Nats-Msg-Id"] == f"desk:look:{STREAM}:1-{STORED_NS}:deadletter:2"


def test_a_retry_that_does_not_count_takes_no_attempt() -> None:
    handler = Failing(*(Retry(counts=False) for _ in range(3)))
    desk = handler.desk(policy=Policy(attempts=2))
    desk.deliver(number=1)
    desk.deliver(number=2)
    desk.deliver_on_lane(origin=origin(1, attempts=1))
    assert handler.attempts == [1, 1, 2]
    assert [each.subject for each in desk.wire.published] == [LATER, LATER]
    assert [each.headers["Jetmesh-Attempts"] for each in desk.wire.published] == ["0", "1"]
    assert desk.stats.failed == 3


def test_a_retry_counts_unless_it_says_otherwise() -> None:
    desk = failing(Retry, policy=Policy(attempts=1))
    desk.deliver()
    assert [each.subject for each in desk.wire.published] == [LETTER]


@pytest.mark.parametrize("after", [0, 0.0, 0.25, 2, 2.0])
def test_a_retry_comes_when_it_was_asked_for(after: float) -> None:
    desk = failing(lambda: Retry(after=after), policy=Policy(backoff=Duration(60)))
    desk.deliver()
    assert nak_of(desk).delay == after


@pytest.mark.parametrize(
    "after",
    [-1, -0.001, math.nan, math.inf, -math.inf, 1e300, 366 * 86_400.0, "1", timedelta(seconds=1)],
)
def test_a_time_that_cannot_be_meant_is_the_backoff_of_the_policy(after: Any) -> None:
    desk = failing(lambda: Retry(after=after), policy=Policy(backoff=Duration(0.5)))
    desk.deliver()
    assert 0.05 <= nak_of(desk).delay <= 0.5


def test_the_backoff_grows_with_every_failure() -> None:
    policy = Policy(attempts=9, backoff=Duration(100), backoff_cap=Duration(100_000))
    desk = failing(policy=policy)
    for failures in (1, 2, 5):
        desk.deliver_on_lane(sequence=failures, origin=origin(1, attempts=failures))
        most = 100 * 2.0**failures
        assert 0.1 * most - 1 < due_in(desk.wire.published[-1]) <= most


# given up


class FraudError(Exception):
    pass


class CardFraudError(FraudError):
    pass


@pytest.mark.parametrize(
    ("rejects", "error"),
    [
        ((), Reject("never")),
        (("FraudError",), FraudError()),
        (("FraudError",), CardFraudError()),
        ((f"{__name__}.FraudError",), CardFraudError()),
        (("LookupError",), KeyError("k")),
    ],
)
def test_what_another_attempt_cannot_help_is_dead_lettered_at_once(
    rejects: Sequence[str], error: Exception
) -> None:
    desk = failing(lambda: error, policy=Policy(rejects=tuple(rejects)))
    desk.deliver()
    (letter,) = desk.wire.published
    assert letter.subject == LETTER
    assert letter.headers["Jetmesh-Error"] == type(error).__name__
    assert letter.headers["Jetmesh-Attempts"] == "1"


def test_a_base_class_is_not_rejected_because_one_derived_from_it_is() -> None:
    desk = failing(FraudError, policy=Policy(rejects=("CardFraudError",)))
    desk.deliver()
    assert [type(each) for each in desk.wire.sent] == [Nak]


def test_a_letter_tells_the_story_of_its_message() -> None:
    desk = failing(lambda: Reject("never"))
    reply = desk.deliver(
        Placed("k-1", note="n"), 17, headers={"Trace": "t-1", "Nats-Msg-Id": "its own"}
    )
    (letter,) = desk.wire.published
    told = letter.headers
    assert letter.payload == b'{"order_id":"k-1","note":"n"}'
    assert datetime.fromisoformat(told.pop("Jetmesh-Failed-At")).tzinfo is not None
    assert len(told.pop("Jetmesh-Fingerprint")) == 12
    assert told.pop("Jetmesh-Where").startswith("message/test_verdicts.py:")
    assert told == {
        "Trace": "t-1",
        "Nats-Msg-Id": f"desk:look:{STREAM}:17-{STORED_NS}:deadletter",
        "Jetmesh-Subject": "desk-in.placed.k-1",
        "Jetmesh-Stream": STREAM,
        "Jetmesh-Sequence": "17",
        "Jetmesh-Stored-At": "2023-11-14T22:13:20.123456789+00:00",
        "Jetmesh-Service": "desk",
        "Jetmesh-Version": "1.2.3",
        "Jetmesh-Handler": "look",
        "Jetmesh-Attempts": "1",
        "Jetmesh-Error": "Reject",
        "Jetmesh-Message": "never",
    }
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]


def test_no_address_of_a_person_is_in_what_is_told_about_a_failure() -> None:
    desk = failing(lambda: ValueError("no route to ada@example.test"), policy=Policy(attempts=1))
    desk.deliver()
    (letter,) = desk.wire.published
    assert "ada" not in letter.headers["Jetmesh-Message"]
    assert "ada" not in desk.stats.last_error
    assert desk.stats.last_error.startswith("ValueError: no route to ")


def test_a_letter_too_large_is_written_without_the_payload() -> None:
    desk = failing(lambda: Reject("never"))
    reply = desk.deliver(headers={"Trace": "t" * 100})
    desk.wire.pending[0].impossible("1 MiB is too much")
    assert desk.wire.verdicts == []
    whole, small = desk.wire.published
    assert (small.subject, small.payload) == (LETTER, b"")
    assert small.headers.pop("Jetmesh-Payload") == "left in its stream"
    assert small.headers == {k: v for k, v in whole.headers.items() if k != "Trace"}
    small.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]
    assert (desk.stats.dead, desk.source.unsettled) == (1, 0)
    assert desk.consumer.verdicts.unstorable.problem == ""


async def test_a_letter_stored_after_its_input_was_given_back_terminates_nothing() -> None:
    desk = failing(lambda: Reject("never"))
    reply = desk.deliver()
    await desk.consumer.give_back()
    desk.wire.pending[0].stored()
    assert [each.reply for each in desk.wire.verdicts] == [reply]
    assert [type(each) for each in desk.wire.verdicts] == [Nak]
    assert desk.stats.dead == 0


async def test_a_retry_stored_after_its_input_was_given_back_acks_nothing() -> None:
    desk = failing(lambda: Retry(after=60))
    desk.deliver()
    await desk.consumer.give_back()
    desk.wire.pending[0].stored()
    assert [type(each) for each in desk.wire.verdicts] == [Nak]
    assert desk.stats.retried == 0


def test_no_retry_is_planned_for_a_time_at_which_the_message_is_too_old() -> None:
    desk = failing(lambda: Retry("later", after=60), policy=Policy(max_age=Duration(30)))
    now = int(datetime.now(UTC).timestamp() * 1e9)
    desk.deliver(stored_ns=now)
    (letter,) = desk.wire.published
    assert (letter.subject, letter.headers["Jetmesh-Error"]) == (LETTER, "Retry")


def test_a_letter_or_retry_that_was_stored_before_settles_its_input_too() -> None:
    desk = Failing(Reject("never"), Retry(after=60)).desk()
    first, second = desk.deliver(sequence=1), desk.deliver(sequence=2)
    for sent in desk.wire.pending:
        sent.decided()
    assert desk.wire.verdicts == [Term(first, "dead-lettered"), Ack(second)]
