"""Pending publishes: which answers are final, what is sent again, and in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmesh.transport.publishes import ANSWER_TICKS, PATIENCE_TICKS, REFUSED_TICKS, Publishes
from jetmesh.transport.seam import Message

INBOX = b"_INBOX.abc.p"
HEADERS = b"NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n"
STORED = b'{"stream":"ORDERS","seq":7}'


def refusal(err_code: int, description: str = "refused", code: int = 400) -> bytes:
    return b'{"error":{"code":%d,"err_code":%d,"description":"%b"},"stream":"ORDERS","seq":0}' % (
        code,
        err_code,
        description.encode(),
    )


class Fate:
    """A waiter that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_stored(self, _: bytes) -> None:
        self.told.append("stored")

    def on_duplicate(self, message: Message, sequence: int) -> None:
        self.told.append(f"duplicate of {sequence}: {b' '.join(message).decode()}")

    def on_decided(self) -> None:
        self.told.append("decided")

    def on_impossible(self, reason: str) -> None:
        self.told.append(f"impossible: {reason}")


class Outbox:
    """Publishes whose frames end up in a list."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.publishes = Publishes(INBOX)
        self.publishes.send = self.sent.append

    def publish(self, key: bytes = b"p-1", payload: bytes = b"{}") -> Fate:
        fate = Fate()
        self.publishes.publish(b"orders.validated." + key, HEADERS, payload, fate)
        return fate

    def answer(self, token: int, payload: bytes = b"", headers: bytes = b"") -> None:
        self.publishes.on_answer(b"%b.%d" % (INBOX, token), b"", headers, payload)

    def sweep(self, times: int) -> None:
        for _ in range(times):
            self.publishes.sweep()


def test_a_frame_carries_subject_reply_headers_and_payload() -> None:
    box = Outbox()
    box.publish(payload=b'{"a":1}')
    size = len(HEADERS)
    assert box.sent == [
        b"HPUB orders.validated.p-1 _INBOX.abc.p.1 %d %d\r\n%b" % (size, size + 7, HEADERS)
        + b'{"a":1}\r\n'
    ]


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 900_000])
def test_lengths_are_written_whatever_they_are(size: int) -> None:
    box = Outbox()
    box.publish(payload=b"x" * size)
    head, _, rest = box.sent[0].partition(b"\r\n")
    assert head.split()[-2:] == [b"%d" % len(HEADERS), b"%d" % (len(HEADERS) + size)]
    assert rest == HEADERS + b"x" * size + b"\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        STORED,
        b'{"stream":"ORDERS","seq":7,"of a later":"server"}',
        b'{"stream":"ORDERS","domain":"hub","seq":7}',
    ],
)
def test_a_puback_is_final(answer: bytes) -> None:
    box = Outbox()
    fate = box.publish()
    box.answer(1, answer)
    box.answer(1, answer)
    box.sweep(50)
    assert fate.told == ["stored"]
    assert len(box.sent) == 1
    assert len(box.publishes) == 0


def test_of_a_duplicate_it_is_told_what_it_would_be_of() -> None:
    """The waiter finds out whose it is: anybody may have taken the message id."""
    box = Outbox()
    fate = box.publish(payload=b"a\r\nb")
    box.answer(1, b'{"stream":"ORDERS", "seq":7,"duplicate": true}')
    box.answer(1, STORED)
    message = f"orders.validated.p-1 {HEADERS.decode()} a\r\nb"
    assert fate.told == [f"duplicate of 7: {message}"]
    assert len(box.publishes) == 0


def test_10071_is_final_and_told_once() -> None:
    box = Outbox()
    fate = box.publish()
    box.answer(1, refusal(10071, "wrong last sequence: 3"))
    box.answer(1, refusal(10071, "wrong last sequence: 3"))
    box.answer(1, STORED)
    box.sweep(50)
    assert fate.told == ["decided"]
    assert len(box.sent) == 1


@pytest.mark.parametrize(
    ("payload", "headers"),
    [
        (refusal(10164, "wrong last sequence"), b""),
        (refusal(10158, "duplicate message id is in process"), b""),
        (refusal(10077, "maximum bytes exceeded", 503), b""),
        (refusal(10023, "insufficient resources", 503), b""),
        (refusal(10070, "wrong last msg ID: x"), b""),
        (refusal(10012, "anything"), b""),
        (b"", b"NATS/1.0 503\r\n\r\n"),
        (b"", b"NATS/1.0 503 No Responders\r\n\r\n"),
        (b"", b""),
        (b"garbage", b""),
        (b"[]", b""),
        (b'{"error":{"code":"x"}}', b""),
        (b'{"error":{"description":"\xff"}}', b""),
        (b'{"a":' * 100_000, b""),
        (b"", b"NATS/1.0\r\nX: y\r\n\r\n"),
    ],
)
def test_every_other_answer_is_undecided_and_the_identical_frame_goes_again(
    payload: bytes, headers: bytes
) -> None:
    box = Outbox()
    fate = box.publish()
    box.answer(1, payload, headers)
    assert len(box.sent) == 1, "a refusal does not spin"
    assert box.publishes.refusal.startswith("orders.validated.p-1: ")
    box.sweep(REFUSED_TICKS)
    assert box.sent[1:] == box.sent[:1]
    assert fate.told == []
    box.answer(1, STORED)
    assert fate.told == ["stored"]


def test_an_error_with_headers_of_a_responder_is_still_read() -> None:
    box = Outbox()
    fate = box.publish()
    box.answer(1, refusal(10071), b"NATS/1.0\r\nTrace: 1\r\n\r\n")
    assert fate.told == ["decided"]


def test_silence_is_undecided_and_the_identical_frame_goes_again() -> None:
    box = Outbox()
    fate = box.publish()
    box.sweep(ANSWER_TICKS - 1)
    assert len(box.sent) == 1
    box.sweep(1)
    assert box.sent == box.sent[:1] * 2
    box.sweep(ANSWER_TICKS)
    assert box.sent == box.sent[:1] * 3
    assert box.publishes.resent == 2
    assert fate.told == []


@pytest.mark.parametrize("err_code", [10054, 10097, 10109])
def test_what_no_server_will_ever_store_is_told_as_impossible(err_code: int) -> None:
    box = Outbox()
    fate = box.publish()
    box.answer(1, refusal(err_code, "too much"))
    box.sweep(50)
    assert fate.told == ["impossible: too much"]
    assert len(box.sent) == 1


def test_more_than_max_payload_is_impossible_and_not_sent() -> None:
    box = Outbox()
    box.publishes.max_payload = 100
    assert box.publish(payload=b"x" * (100 - len(HEADERS))).told == []
    fate = box.publish(payload=b"x" * (101 - len(HEADERS)))
    assert fate.told == ["impossible: 101 bytes are more than the server's max_payload of 100"]
    assert len(box.sent) == 1


def test_after_a_reconnect_everything_goes_again_in_the_order_of_publishing() -> None:
    box = Outbox()
    for key in (b"a", b"b", b"c", b"d"):
        box.publish(key)
    box.answer(2, STORED)
    box.answer(1, refusal(10164))
    box.sweep(REFUSED_TICKS)  # the first is the newest to be sent now
    first = box.sent[:4]
    box.sent.clear()
    box.publishes.resend_all()
    assert box.sent == [first[0], first[2], first[3]]


def test_what_is_published_without_a_connection_goes_with_the_next_one() -> None:
    box = Outbox()
    publishes = Publishes(INBOX)
    fate = Fate()
    publishes.publish(b"orders.validated.p-1", HEADERS, b"{}", fate)
    publishes.send = box.sent.append
    publishes.resend_all()
    assert len(box.sent) == 1


def test_a_new_server_with_a_smaller_max_payload_is_not_sent_what_it_would_hang_up_on() -> None:
    box = Outbox()
    small, large = box.publish(), box.publish(payload=b"x" * 5000)
    box.sent.clear()
    box.publishes.max_payload = 4000
    box.publishes.resend_all()
    assert len(box.sent) == 1
    assert small.told == []
    assert large.told[0].startswith("impossible: ")


def test_two_refusals_of_one_message_send_it_once() -> None:
    box = Outbox()
    box.publish()
    for _ in range(5):
        box.answer(1, refusal(10164))
    box.sweep(REFUSED_TICKS)
    assert len(box.sent) == 2


def test_answers_to_nobody_are_ignored() -> None:
    box = Outbox()
    for payload in (STORED, refusal(10071), b"garbage"):
        box.answer(99, payload)
        box.publishes.on_answer(INBOX + b".x", b"", b"", payload)
    box.sweep(50)
    assert box.sent == []


def test_a_refusal_becomes_a_problem_when_it_lasts_and_is_over_when_all_is_stored() -> None:
    box = Outbox()
    box.publish()
    no_stream = b"NATS/1.0 503\r\n\r\n"
    for _ in range(PATIENCE_TICKS):
        assert box.publishes.problem == ""
        box.answer(1, b"", no_stream)
        box.sweep(1)
    assert box.publishes.problem == "publishing: orders.validated.p-1: no stream takes it (503)"
    box.answer(1, STORED)
    box.sweep(1)
    assert box.publishes.problem == box.publishes.refusal == ""


def test_a_refusal_that_was_overcome_is_no_problem_while_others_wait() -> None:
    box = Outbox()
    box.publish(b"a")
    box.answer(1, refusal(10164))
    for token in range(2, 40):
        box.publish()
        box.sweep(1)
        box.answer(token - 1, STORED)
        assert box.publishes.problem == ""


def test_silence_and_denial_become_problems() -> None:
    box = Outbox()
    box.publish()
    box.sweep(ANSWER_TICKS + PATIENCE_TICKS)
    assert box.publishes.problem == (
        "publishing: no answer to orders.validated.p-1; is the disk full?"
    )
    for _ in range(5):
        box.publishes.denied("you may not")
        assert box.publishes.problem == "publishing: you may not"
        box.sweep(ANSWER_TICKS)


answers = st.sampled_from([STORED, refusal(10071), refusal(10164), refusal(10054), b"garbage", b""])
steps = st.lists(
    st.one_of(
        st.just("publish"),
        st.just("sweep"),
        st.just("reconnect"),
        st.tuples(st.integers(1, 12), answers),
    ),
    max_size=60,
)


@given(steps)
def test_every_waiter_is_told_exactly_once_whatever_happens(sequence: list[object]) -> None:
    box = Outbox()
    fates: list[Fate] = []
    for step in sequence:
        if step == "publish":
            fates.append(box.publish(b"%d" % len(fates)))
        elif step == "sweep":
            box.sweep(1)
        elif step == "reconnect":
            box.publishes.resend_all()
        elif isinstance(step, tuple):
            box.answer(step[0], step[1])
        waiting = sum(not fate.told for fate in fates)
        assert len(box.publishes) == waiting
        assert all(len(fate.told) <= 1 for fate in fates)
    box.sent.clear()
    box.sweep(ANSWER_TICKS + REFUSED_TICKS)
    assert len({frame.split(b" ")[2] for frame in box.sent}) == len(box.publishes), "none is lost"
    for token in range(1, len(fates) + 1):
        box.answer(token, STORED)
    assert all(len(fate.told) == 1 for fate in fates)
