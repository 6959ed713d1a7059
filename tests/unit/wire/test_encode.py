"""What we write, a parser that knows only the protocol's description reads back."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from jetmesh import wire

tokens = st.text(st.sampled_from("abcXYZ019_-$%"), min_size=1, max_size=8)
subjects = st.lists(tokens, min_size=1, max_size=4).map(lambda parts: ".".join(parts).encode())
replies = st.one_of(st.just(b""), subjects)
names = st.text(st.sampled_from("abcXYZ019-_"), min_size=1, max_size=12)
values = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)
headers = st.dictionaries(names, values.map(str.strip), max_size=4)
publishes = st.tuples(subjects, replies, st.binary(max_size=50))


def parsed(data: bytes) -> list[tuple[bytes, ...]]:
    """Frames of a client, read as the protocol's page says and not as our decoder does."""
    frames: list[tuple[bytes, ...]] = []
    while data:
        line, _, data = data.partition(b"\r\n")
        verb, *words = line.split()
        if verb != b"PUB":
            frames.append((verb, line[len(verb) + 1 :]))
            continue
        size = int(words.pop())
        subject, reply = words[0], words[1] if words[1:] else b""
        assert len(words) <= 2
        body, data = data[:size], data[size:]
        assert data.startswith(b"\r\n"), "a payload ends where its length says"
        frames.append((verb, subject, reply, body))
        data = data[2:]
    return frames


def fields(block: bytes) -> dict[str, str]:
    """A block of headers, read as the protocol's page says."""
    first, *lines = block.decode().split("\r\n")
    assert first == "NATS/1.0"
    assert lines[-2:] == ["", ""]
    return {line.partition(": ")[0]: line.partition(": ")[2] for line in lines[:-2]}


@given(st.lists(publishes, max_size=5))
@example([(b"a", b"", b""), (b"a", b"r", b"\r\nPUB b 1\r\nx\r\n")])
def test_publishes_are_read_back_in_their_order(sent: list[tuple[bytes, bytes, bytes]]) -> None:
    data = b"".join(wire.pub(subject, payload, reply) for subject, reply, payload in sent)
    for frame, (subject, reply, payload) in zip(parsed(data), sent, strict=True):
        assert frame == (b"PUB", subject, reply, payload)


@given(headers)
@example({})
def test_a_block_of_headers_is_read_back(values: dict[str, str]) -> None:
    assert fields(wire.block(values)) == values


def test_subscriptions_and_the_rest_are_lines() -> None:
    data = wire.sub(b"_INBOX.a.*", b"7") + wire.unsub(b"7") + wire.PING + wire.PONG
    assert parsed(data) == [
        (b"SUB", b"_INBOX.a.* 7"),
        (b"UNSUB", b"7"),
        (b"PING", b""),
        (b"PONG", b""),
    ]


def test_connect_carries_its_options_as_json_in_one_line() -> None:
    options = {"verbose": False, "name": "a\r\nPUB b 0\r\n\r\n", "pass": "pässword"}
    ((verb, text),) = parsed(wire.connect(options))
    assert verb == b"CONNECT"
    assert json.loads(text) == options


@given(subjects, replies, headers, st.binary(max_size=50))
def test_a_message_with_headers_is_read_back(
    subject: bytes, reply: bytes, values: dict[str, str], payload: bytes
) -> None:
    line, _, rest = wire.hpub(subject, wire.block(values), payload, reply).partition(b"\r\n")
    verb, *words = line.split()
    size, whole = int(words[-2]), int(words[-1])
    assert [verb, *words[:-2]] == [b"HPUB", subject, *([reply] if reply else [])]
    assert (fields(rest[:size]), rest[size:whole], rest[whole:]) == (values, payload, b"\r\n")
