"""Continuous pull: what every status and every silence does, and never more than the limit."""

from __future__ import annotations

import pytest

from jetmesh.transport.pull import (
    DENIED_PAUSE,
    EXPIRES_SECONDS,
    MOST_BYTES,
    REQUEST_BYTES,
)
from tests.unit.transport.pulled import NO_PENDING, SWEEP, Server, started


def room(server: Server) -> int:
    """What the pull believes it may still ask for."""
    return server.limit - server.pull._load


def test_it_asks_for_the_whole_limit_and_refills_by_parts() -> None:
    server = started(8)
    assert server.asked == [8]
    server.deliver(8)
    assert server.asked == [8], "unsettled deliveries leave no room"
    server.settle()
    assert server.asked == [8]
    server.settle()
    assert server.asked == [8, 2]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 255, 256, 2048])
def test_any_limit_is_pulled_and_never_exceeded(limit: int) -> None:
    server = started(limit)
    for _ in range(4 * limit):
        server.deliver()
        server.settle()
        assert server.outstanding + server.unsettled <= limit
    assert server.delivered == 4 * limit


def test_no_problem_is_known_before_the_server_says_one() -> None:
    server = started()
    assert server.pull.problem == ""
    server.advance(1)
    assert server.pull.problem == ""


def test_a_delivery_is_a_sign_of_life_too() -> None:
    server = started()
    server.deliver()
    server.advance(SWEEP)
    assert server.pull.problem == ""


def test_expiry_with_pending_messages_asks_for_them_anew() -> None:
    server = started(8)
    server.deliver(3)
    server.end("408 Request Timeout")
    assert server.asked == [8, 5]
    assert server.outstanding + server.unsettled == 8


def test_a_request_that_expires_by_itself_is_replaced_for_ever() -> None:
    server = started(8)
    server.advance(5 * EXPIRES_SECONDS)
    assert server.asked == [8] * 6
    assert server.outstanding == 8


def test_a_batch_completes_silently() -> None:
    server = started(8)
    server.deliver(8)
    server.settle(8)
    assert server.outstanding == 8
    assert sum(server.asked) == 16


def test_a_slow_handler_is_not_silence() -> None:
    server = started(2)
    server.deliver(2)
    server.advance(60)
    assert server.pull.problem == ""
    assert server.asked == [2]
    server.settle(1)
    assert server.outstanding == 1


def test_a_request_that_brought_its_bytes_is_no_problem_and_replaced_at_once() -> None:
    server = started(64)
    server.deliver(28, size=300_000)
    assert server.unsettled == 28
    assert server.pull.problem == ""
    assert len(server.asked) == 2
    server.settle(28)
    server.deliver(28, size=300_000)
    assert server.unsettled == 28


@pytest.mark.parametrize("limit", [64, 2048])
@pytest.mark.parametrize("size", [50_000, 300_000, 1_000_000, REQUEST_BYTES - 1])
def test_what_is_in_flight_is_bounded_in_bytes(limit: int, size: int) -> None:
    server = started(limit)
    for _ in range(200):
        server.deliver(50, size=size)
        assert server.unsettled * size <= MOST_BYTES
        server.settle(max(1, server.unsettled // 3))
    assert server.delivered > 100
    server.settle(server.unsettled)
    server.deliver(limit, size=size)
    assert server.unsettled * size > min(MOST_BYTES / 2, limit * size * 0.9), "and it is used"


def test_a_message_larger_than_a_request_may_bring_is_asked_for_alone() -> None:
    server = started(8)
    for _ in range(5):
        server.deliver(1, size=REQUEST_BYTES + 1)
        server.settle()
        server.advance(SWEEP)
    assert server.delivered == 5
    assert server.pull.problem == ""
    assert 1 in server.asked


def test_after_large_messages_small_ones_get_the_whole_limit_again() -> None:
    server = started(2048)
    server.deliver(30, size=1_000_000)
    server.settle(30)
    assert server.outstanding + server.unsettled < 64
    for _ in range(200):
        server.deliver(server.outstanding)
        server.settle(server.unsettled)
    assert server.outstanding + server.unsettled > 1024


@pytest.mark.parametrize(
    ("status", "pending"),
    [
        ("409 Leadership Change", NO_PENDING),
        ("409 Server Shutdown", 8),
        ("409 Exceeded MaxWaiting", NO_PENDING),
        ("409 Exceeded MaxRequestBatch of 5", NO_PENDING),
        ("409 Consumer is push based", NO_PENDING),
        ("400 Bad Request - heartbeat value too large", NO_PENDING),
        ("423 Nats-Pin-Id mismatch", NO_PENDING),
    ],
)
def test_a_refused_request_is_asked_again_after_a_pause_and_says_why(
    status: str, pending: int
) -> None:
    server = started(8)
    server.end(status, pending)
    assert server.asked == [8], "it does not spin"
    code, _, text = status.partition(" ")
    assert server.pull.problem == f"durable 'payments' on ORDERS: {text} ({code})"
    server.advance(0.75)
    assert server.asked == [8, 8]
    server.advance(1)
    assert server.pull.problem == ""


@pytest.mark.parametrize("status", ["409 Leadership Change", "503", "400 Bad Request"])
def test_error_statuses_do_not_spin(status: str) -> None:
    server = started(8)
    for _ in range(40):  # ten seconds
        while server.open:
            server.end(status, NO_PENDING)
        server.advance(SWEEP)
    assert len(server.asked) <= 21


def test_server_shutdown_and_leadership_change_for_the_same_request_count_once() -> None:
    server = started(8)
    server.deliver(4)
    server.settle(4)
    reply = server.end("409 Server Shutdown")
    server.say(reply, "409 Leadership Change")
    server.say(reply, "408 Request Timeout", 8)
    assert server.outstanding + server.unsettled <= 8
    assert room(server) >= 0


def test_a_deleted_consumer_is_told_and_asked_for_until_it_is_there_again() -> None:
    server = started(8)
    server.end("409 Consumer Deleted", NO_PENDING)
    assert server.pull.problem == "durable 'payments' on ORDERS: Consumer Deleted (409)"
    server.advance(0.75)
    server.end("503", NO_PENDING)
    for _ in range(5):
        said = "no answer; it is gone, or its servers are electing a leader (503)"
        assert said in server.pull.problem
        server.advance(0.75)
        server.end("503", NO_PENDING)
    server.advance(2)
    assert server.pull.problem == ""
    server.deliver(8)
    assert server.unsettled == 8


def test_the_owner_of_an_ephemeral_consumer_is_told_when_it_is_gone() -> None:
    gone: list[str] = []
    server = started(8, gone=gone)
    server.end("409 Consumer Deleted", NO_PENDING)
    assert len(gone) == 1
    server.advance(1)
    server.end("503", NO_PENDING)
    assert len(gone) == 2


def test_the_owner_of_an_ephemeral_consumer_begins_anew_after_a_reconnect_and_silence() -> None:
    """It acknowledges nothing: what was on its way is lost, and only the owner knows to look."""
    gone: list[str] = []
    server = started(8, gone=gone)
    server.reconnect()
    assert len(gone) == 1
    assert server.asked == [8], "the owner makes another consumer"
    server = started(8, gone=gone)
    server.lose()
    server.advance(3)
    assert gone[1:] == ["durable 'payments' on ORDERS is silent"]


def test_heartbeats_of_closed_requests_are_ignored() -> None:
    server = started(8)
    reply = server.end("409 Leadership Change", NO_PENDING)
    server.say(reply, "100 Idle Heartbeat")
    assert "Leadership Change" in server.pull.problem
    server.advance(0.75)
    server.lose()
    for _ in range(12):
        server.say(reply, "100 Idle Heartbeat")
        server.advance(SWEEP)
    assert len(server.asked) == 3, "a stale heartbeat does not keep a lost request alive"


def test_missed_heartbeats_mean_that_every_request_is_dead() -> None:
    server = started(8)
    server.deliver(3)
    server.settle(3)
    server.advance(1)
    server.lose()
    server.advance(2.5)
    assert server.outstanding + server.unsettled == 8
    server.advance(1)
    assert server.pull.problem == ""


def test_silence_is_said_in_words() -> None:
    server = started(8)
    server.stopped = True
    server.advance(2)
    assert server.pull.problem == "durable 'payments' on ORDERS is silent"


def test_one_lost_request_among_living_ones_is_made_up_for() -> None:
    """As one beyond max_waiting: how much of the others is left is known when they expire."""
    server = started(8)
    server.deliver(4)
    server.settle(4)
    server.deliver(1, request=1)
    server.settle(1)
    assert len(server.open) > 1
    server.open.pop()
    server.advance(2 * EXPIRES_SECONDS + 4)
    assert server.outstanding == 8


def test_a_server_that_was_stopped_does_not_serve_old_and_new_requests() -> None:
    """It reads everything when it goes on: the requests of before, then those of meanwhile."""
    server = started(8)
    server.stopped = True
    server.advance(6)
    server.stopped = False
    server.read()
    assert server.outstanding == 8
    server.deliver(8)
    assert server.unsettled == 8


def test_a_status_may_arrive_before_the_messages_that_it_ends() -> None:
    server = started(8)
    server.end("408 Request Timeout", 5)  # three are on their way
    assert server.asked == [8, 5]
    for _ in range(3):
        server.late()
    assert server.unsettled + server.outstanding == 8


def test_messages_beyond_the_accounting_are_taken_and_settled() -> None:
    server = started(4)
    server.end("409 Leadership Change", NO_PENDING)
    for _ in range(10):
        server.late()
    server.advance(1)
    assert server.asked == [4], "more than the limit is unsettled: nothing is asked for"
    server.settle(10)
    server.advance(1)
    assert server.outstanding == 4
    assert server.pull._load == 4


def test_messages_that_a_status_announced_but_that_never_came_are_given_up() -> None:
    server = started(8)
    server.end("408 Request Timeout", 2)
    server.advance(1)
    server.deliver(2)
    server.settle(2)
    server.advance(4)
    assert server.outstanding + server.unsettled == 8


def test_after_a_reconnect_every_request_is_dead_and_unsettled_ones_still_count() -> None:
    server = started(8)
    server.deliver(3)
    server.disconnect()
    server.settle(1)
    server.reconnect()
    assert server.asked == [8, 6]
    assert server.outstanding + server.unsettled == 8


def test_a_new_connection_listens_on_another_inbox() -> None:
    """The old server would serve the old requests again, if somebody listened there."""
    server = started(8)
    before = server.interest
    server.reconnect()
    assert server.interest != before
    assert server.frames[-2] == b"UNSUB 1\r\nSUB %b* 1\r\n" % server.interest


def test_nothing_is_asked_for_while_the_connection_is_congested() -> None:
    server = started(4)
    server.deliver(4)
    server.congested = True
    server.settle(4)
    server.advance(1)
    assert server.asked == [4]
    server.congested = False
    server.pull.refill()
    assert server.asked == [4, 4]


def test_a_missing_permission_is_said_and_asked_for_now_and_then() -> None:
    server = started(4)
    for _ in range(4):
        server.lose()
        server.pull.denied("no permission")
        server.advance(DENIED_PAUSE - SWEEP)
        assert server.pull.problem == "no permission"
        server.advance(SWEEP)
    assert server.asked == [4] * 5
    server.advance(1)
    assert server.pull.problem == ""


def test_a_stopped_pull_withdraws_and_takes_what_still_arrives() -> None:
    server = started(4)
    server.deliver(1)
    server.pull.stop()
    assert server.interest == b""
    server.late()
    server.settle(2)
    server.advance(5)
    assert server.asked == [4]
    assert server.pull._load == server.pull._unsettled == 0


@pytest.mark.parametrize("junk", [b"", b"NATS/1.0\r\n\r\n", b"\xff\xfe", b"NATS/1.0 4x8\r\n\r\n"])
def test_junk_on_the_inbox_changes_nothing(junk: bytes) -> None:
    server = started(4)
    for subject in (server.open[0].reply, b"_INBOX.x.1", b"x", b""):
        server.pull.on_message(subject, b"", junk, b"junk")
    assert server.asked == [4]
    assert server.pull._load == 4


def test_a_server_that_was_only_slow_serves_no_more_than_the_limit() -> None:
    """It read nothing for a while, and holds a request that was given up meanwhile."""
    server = started(limit=2)
    server.deliver()
    server.stopped = True
    server.advance(1)
    server.settle()
    server.advance(1)
    server.stopped = False
    server.read()
    assert server.outstanding == 2


def test_a_problem_ends_although_nothing_that_was_delivered_is_settled() -> None:
    server = started(limit=8)
    server.deliver(7)
    server.end("409 Leadership Change")
    assert "Leadership Change" in server.pull.problem
    server.advance(2)
    assert server.pull.problem == ""
    assert server.unsettled == 7
