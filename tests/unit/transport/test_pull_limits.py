"""Who receives the deliveries says how many it can take, and whether its verdicts are taken."""

from __future__ import annotations

from tests.unit.transport.pulled import started


def test_it_may_begin_with_few_and_asks_for_more_as_those_have_their_verdicts() -> None:
    """Who receives them may be slow: it should not have thousands before that is known."""
    server = started(2048, first=64)
    assert server.asked == [64]
    server.deliver(64)
    server.settle(16)
    assert server.outstanding + server.unsettled == 128
    for _ in range(10):
        server.deliver(server.outstanding)
        server.settle(server.unsettled)
    assert server.outstanding == 2048


def test_a_limit_withdraws_what_was_asked_for_beyond_it() -> None:
    server = started(8)
    server.deliver(2)
    server.pull.limit_to(4)
    assert server.outstanding + server.unsettled == 4
    server.pull.limit_to(100)
    server.settle(2)
    assert server.outstanding == 8, "never more than at first"


def test_a_wider_limit_asks_for_more_and_withdraws_nothing() -> None:
    server = started(8)
    server.pull.limit_to(2)
    before = server.interest
    server.pull.limit_to(6)
    assert server.interest == before
    assert server.outstanding == 6


def test_nothing_is_asked_for_while_verdicts_are_refused() -> None:
    server = started(8)
    server.deliver(3)
    server.pull.mute("the user may not", b"$JS.ACK.S.d.1.1.1.1.0")
    assert server.interest == b"", "what was asked for is withdrawn"
    server.settle(3)
    server.pull.limit_to(4)
    server.advance(60)
    assert server.asked == [8]
    assert server.pull.problem == "the user may not"
    assert server.told == ["the user may not"]


def test_a_question_that_is_refused_keeps_it_muted_and_one_that_is_not_ends_it() -> None:
    server = started(8)
    server.pull.mute("the user may not", b"$JS.ACK.S.d.1.1.1.1.0")
    assert not server.pull.unmute(), "nothing was asked yet"
    for number in range(3):
        server.pull.ask_for_verdicts()
        assert b"$JS.ACK.S.d.1.1.1.1.0" in server.frames[-1]
        assert server.frames[-1].endswith(b"+WPI\r\n"), "it changes nothing"
        server.pull.mute(f"still not, {number}", b"$JS.ACK.S.d.1.1.1.1.0")
        assert not server.pull.unmute()
    server.pull.ask_for_verdicts()
    assert server.pull.unmute()
    assert server.told == ["the user may not", ""]
    assert server.pull.problem == ""
    assert server.outstanding == 8


def test_what_is_muted_stays_so_on_a_new_connection_and_after_a_stop() -> None:
    server = started(8)
    server.pull.mute("the user may not", b"$JS.ACK.S.d.1.1.1.1.0")
    server.reconnect()
    assert server.outstanding == 0
    server.pull.stop()
    server.pull.ask_for_verdicts()
    assert server.pull.unmute()
    assert server.asked == [8]
