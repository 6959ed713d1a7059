"""What we write, a parser that knows only the protocol's description reads back."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from jetmesh import wire

tokens = st.text(st.sampled_from("abcXYZ019_-$%"), min_size=1, max_size=8)
subjects = st.lists(tokens, min_size=1, max_size=4).map(lambda parts: ".".join(parts).encode())
replies = st.one_of(st.just(b""), subjects)
names = st.text(st.sampled_from("abcXYZ019-_"), min_size=1, max_size=12)
values = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)
headers = st.dictionaries(names, values.map(str.strip), max_size=4)
publishes = st.tuples(subjects, replies, st.none() | headers, st.binary(max_size=50))


def parsed(data: bytes) -> list[tuple[bytes, ...]]:
    """Frames of a client, read as the protocol's page says and not as our decoder does."""
    frames: list[tuple[bytes, ...]] = []
    while data:
        line, _, data = data.partition(b"\r\n")
        verb, *words = line.split()
        if verb not in (b"PUB", b"HPUB"):
            frames.append((verb, line[len(verb) + 1 :]))
            continue
        sizes = [int(words.pop()) for _ in range(2 if verb == b"HPUB" else 1)]
        subject, reply = words[0], words[1] if words[1:] else b""
        assert len(words) <= 2
        total = sizes[0]
        header_size = sizes[1] if verb == b"HPUB" else 0
        body, data = data[:total], data[total:]
        assert data.startswith(b"\r\n"), "a payload ends where its length says"
        frames.append((verb, subject, reply, body[:header_size], body[header_size:]))
        data = data[2:]
    return frames


def fields(block: bytes) -> dict[str, str]:
    """A block of headers, read as the protocol's page says."""
    first, *lines = block.decode().split("\r\n")
    assert first == "NATS/1.0"
    assert lines[-2:] == ["", ""]
    return {line.partition(": ")[0]: line.partition(": ")[2] for line in lines[:-2]}


@given(st.lists(publishes, max_size=5))
@example([(b"a", b"", {}, b""), (b"a", b"r", None, b"\r\nPUB b 1\r\nx\r\n")])
def test_publishes_are_read_back_in_their_order(sent: list[Any]) -> None:
    data = b"".join(
        wire.pub(subject, payload, reply)
        if values is None
        else wire.hpub(subject, wire.block(values), payload, reply)
        for subject, reply, values, payload in sent
    )
    for frame, (subject, reply, values, payload) in zip(parsed(data), sent, strict=True):
        assert frame[1:3] == (subject, reply)
        assert frame[4] == payload
        assert (fields(frame[3]) if frame[0] == b"HPUB" else None) == values


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
