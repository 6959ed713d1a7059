"""What nats-py reads, by our decoder: in order, whatever stands in it, however it is cut."""

from __future__ import annotations

from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmesh.transport.parser import Parser

STREAM = (
    b'INFO {"version":"2"}\r\nPING\r\n'
    b"MSG a.\x0bb 1 0\r\n\r\n"
    b"MSG a\x0c 12 r.\xff 2\r\nhi\r\n"
    b"HMSG a 3 r 1 3\r\nNhi\r\n"
    b"-ERR 'Permissions Violation for Publish to \"A\"'\r\n-ERR unquoted\r\n+OK\r\nPONG\r\n"
)
FRAMES = [
    (b"INFO", b'{"version":"2"}'),
    (b"PING", b""),
    (1, b"a.\x0bb", b"", b"", b""),
    (12, b"a\x0c", b"r.\xff", b"hi", b""),
    (3, b"a", b"r", b"hi", b"N"),
    (b"-ERR", b"'Permissions Violation for Publish to \"A\"'"),
    (b"-ERR", b"unquoted"),
    (b"+OK", b""),
    (b"PONG", b""),
]


def recording() -> tuple[Parser, list[tuple[object, ...]]]:
    frames: list[tuple[object, ...]] = []

    async def note(*frame: object) -> None:
        frames.append(frame)

    return Parser(note, note, broken), frames


def broken(reason: str) -> NoReturn:
    raise ConnectionError(reason)


@given(st.lists(st.integers(0, len(STREAM)), max_size=6).map(sorted))
async def test_frames_come_in_order_however_they_are_cut(cuts: list[int]) -> None:
    parser, frames = recording()
    for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True):
        await parser.parse(STREAM[start:end])
    assert frames == FRAMES


async def test_what_is_whole_is_handed_over_before_an_error() -> None:
    parser, frames = recording()
    with pytest.raises(ConnectionError, match=r"does not speak NATS: .* is not a verb"):
        await parser.parse(b"PING\r\nHTTP/1.1 400 Bad Request\r\n")
    assert frames == [(b"PING", b"")]


async def test_what_belongs_to_a_lost_connection_is_forgotten() -> None:
    frames: list[object] = []

    async def lose(*frame: object) -> None:
        frames.append(frame)
        parser.reset()

    parser = Parser(lose, lose, broken)
    await parser.parse(b"PING\r\nPONG\r\nMSG a 1 5\r\nhal")
    await parser.parse(b"PING\r\n")
    assert frames == [(b"PING", b""), (b"PING", b"")]
