"""Whatever the pieces in which bytes arrive, the frames are the same; garbage ends it early."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmesh.wire import Decoder, OnMessage, ProtocolError
from jetmesh.wire.decode import MAX_LINE, MAX_MESSAGE

HEADER = b"NATS/1.0\r\nNats-Msg-Id: a:b:C:1:d.e\r\n\r\n"

tokens = st.text(st.sampled_from("abcXYZ019_-$%"), min_size=1, max_size=8)
subjects = st.lists(tokens, min_size=1, max_size=4).map(lambda parts: ".".join(parts).encode())
replies = st.one_of(st.just(b""), subjects)
payloads = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b"\r\n", b"MSG a 1 5\r\nhello\r\n", b"PING\r\n", b"\r", b"x" * 3000]),
)
header_blocks = st.sampled_from([HEADER, b"NATS/1.0 503\r\n\r\n", b"NATS/1.0 100 Idle\r\n\r\n"])
messages = st.tuples(st.just("MSG"), subjects, replies, st.just(b""), payloads)
headed = st.tuples(st.just("HMSG"), subjects, replies, header_blocks, payloads)
controls = st.one_of(
    st.just(("PING", b"")),
    st.just(("PONG", b"")),
    st.just(("+OK", b"")),
    st.just(("INFO", b'{"server_id":"A","headers":true}')),
    st.just(("-ERR", b"'Authorization Violation'")),
)
frames = st.lists(st.one_of(messages, headed, controls), max_size=8)
cuts = st.lists(st.integers(0, 4000), max_size=12)


def written(frame: tuple[Any, ...]) -> Any:
    """`frame` as a server writes it."""
    if len(frame) == 2:
        verb, text = frame
        return verb.encode() + (b" " + text if text else b"") + b"\r\n"
    verb, subject, reply, headers, payload = frame
    sizes = [len(headers)] if verb == "HMSG" else []
    sizes.append(len(headers) + len(payload))
    words = [verb.encode(), subject, b"1", reply, *(str(size).encode() for size in sizes)]
    return b" ".join(word for word in words if word) + b"\r\n" + headers + payload + b"\r\n"


def pieces(data: bytes, positions: Iterable[int]) -> list[bytes]:
    """`data` cut at `positions`."""
    edges = [0, *sorted({min(position, len(data)) for position in positions}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


class Heard:
    """A decoder, and everything it called back with."""

    def __init__(self, **options: Any) -> None:
        self.frames: list[tuple[Any, ...]] = []
        self.decoder = Decoder({b"1": self._message}, self._control, **options)

    def _message(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        verb = "HMSG" if headers else "MSG"
        self.frames.append((verb, subject, reply, headers, payload))

    def _control(self, verb: bytes, argument: bytes) -> None:
        self.frames.append((verb.decode(), argument))

    def feed(self, *chunks: bytes) -> list[tuple[Any, ...]]:
        for chunk in chunks:
            self.decoder.feed(chunk)
        return self.frames


@given(frames, cuts)
def test_any_split_gives_the_same_frames(sent: list[Any], positions: list[int]) -> None:
    data = b"".join(map(written, sent))
    assert Heard().feed(*pieces(data, positions)) == sent


@given(frames)
def test_one_byte_at_a_time_gives_the_same_frames(sent: list[Any]) -> None:
    data = b"".join(map(written, sent))[:600]
    whole, bytewise = Heard().feed(data), Heard().feed(*(bytes([byte]) for byte in data))
    assert bytewise == whole


@given(st.binary(max_size=300), cuts)
def test_garbage_gives_the_same_frames_and_the_same_error_in_any_split(
    data: bytes, positions: list[int]
) -> None:
    def outcome(*chunks: bytes) -> tuple[Any, ...]:
        heard = Heard()
        try:
            heard.feed(*chunks)
        except ProtocolError as error:
            return heard.frames, str(error)
        return heard.frames, None

    assert outcome(data) == outcome(*pieces(data, positions))


@given(frames, st.integers(0, 4000), st.integers(0, 255), cuts)
def test_one_wrong_byte_in_a_conversation_is_read_or_refused_but_never_crashes(
    sent: list[Any], position: int, byte: int, positions: list[int]
) -> None:
    data = bytearray(b"".join(map(written, sent)))
    if data:
        data[position % len(data)] = byte
    heard = Heard()
    try:
        heard.feed(*pieces(bytes(data), positions))
    except ProtocolError:
        return
    assert len(heard.decoder._parts) <= len(positions) + 2


@pytest.mark.parametrize("start", [b"", b"INFO {", b"MSG ", b"-ERR '", b"\x00"])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(start: bytes) -> None:
    heard = Heard()
    heard.feed(start, *[b"x" * 1024] * ((MAX_LINE - len(start) - 1) // 1024))
    with pytest.raises(ProtocolError, match="control line"):
        heard.feed(b"x" * 1024)


@pytest.mark.parametrize("verb", [b"MSG a 1 %d\r\n", b"HMSG a 1 0 %d\r\n", b"HMSG a 1 r 12 %d\r\n"])
@pytest.mark.parametrize("size", [MAX_MESSAGE + 1, 2**31, 2**63, 10**30])
def test_an_absurd_length_is_refused_with_its_line(verb: bytes, size: int) -> None:
    with pytest.raises(ProtocolError, match="is not a length"):
        Heard().feed(verb % size)


def test_the_limit_is_what_the_connection_negotiated() -> None:
    heard = Heard(limit=10)
    assert heard.feed(b"MSG a 1 10\r\n0123456789\r\n")
    with pytest.raises(ProtocolError, match="at most 10 bytes"):
        heard.feed(b"MSG a 1 11\r\n")


def test_a_line_of_the_greatest_length_is_read() -> None:
    text = b"x" * (MAX_LINE - len(b"INFO \r\n"))
    assert Heard().feed(b"INFO " + text + b"\r\n") == [("INFO", text)]


def test_what_a_callback_raises_leaves_the_state_sound() -> None:
    """The frames behind the one that failed are still there, each delivered once."""
    heard: list[Any] = []

    def fail_once(_subject: bytes, _reply: bytes, _headers: bytes, payload: bytes) -> None:
        heard.append(payload)
        if payload == b"2":
            raise RuntimeError("a bug in a callback")

    decoder = Decoder({b"1": fail_once}, lambda *_: None)
    with pytest.raises(RuntimeError, match="a bug"):
        decoder.feed(b"MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\nMSG a 1 1\r\n3\r\nMSG a 1 1")
    decoder.feed(b"\r\n4\r\n")
    assert heard == [b"1", b"2", b"3", b"4"]


def test_a_message_after_its_unsubscription_is_passed_over() -> None:
    heard = Heard()
    assert heard.feed(b"MSG a 2 5\r\nhello\r\nPING\r\n") == [("PING", b"")]


def test_a_subscription_made_while_a_chunk_is_read_counts_for_the_rest_of_it() -> None:
    routes: dict[bytes, OnMessage] = {}
    heard: list[Any] = []

    def subscribe(_verb: bytes, _text: bytes) -> None:
        routes[b"7"] = lambda *fields: heard.append(fields)

    Decoder(routes, subscribe).feed(b"PING\r\nMSG a 7 2\r\nhi\r\n")
    assert heard == [(b"a", b"", b"", b"hi")]


def test_a_large_message_in_many_chunks_is_joined_once() -> None:
    payload = bytes(range(256)) * 4096
    heard = Heard()
    heard.feed(b"MSG a 1 %d\r\n" % len(payload))
    for chunk in pieces(payload + b"\r\n", range(0, len(payload), 1000)):
        assert heard.frames == []
        heard.feed(chunk)
    assert heard.frames == [("MSG", b"a", b"", b"", payload)]
    assert heard.decoder._parts == []
