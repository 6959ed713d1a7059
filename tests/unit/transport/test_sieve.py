"""What nats-py is given to read of what a server says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmesh.transport.sieve import Sieve
from jetmesh.wire import MAX_LINE, ProtocolError


class Heard:
    """A sieve that takes every INFO out and puts errors in other words."""

    def __init__(self) -> None:
        self.infos: list[bytes] = []
        self.sieve = Sieve(self._replace)

    def feed(self, *pieces: bytes) -> bytes:
        return b"".join(map(self.sieve.feed, pieces))

    def _replace(self, verb: bytes, argument: bytes) -> bytes:
        if verb == b"INFO":
            self.infos.append(argument)
            return b""
        return verb + b"!\r\n"


FRAMES = {
    b"MSG a 1 5\r\nINFO \r\n": b"MSG a 1 5\r\nINFO \r\n",
    b"MSG a 1 r 15\r\nINFO {}\r\nPING\r\n\r\n": b"MSG a 1 r 15\r\nINFO {}\r\nPING\r\n\r\n",
    b"MSG a 1 0\r\n\r\n": b"MSG a 1 0\r\n\r\n",
    b"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\n\r\n\r\n": b"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\n\r\n\r\n",
    b'INFO {"a":1}\r\n': b"",
    b"PING\r\n": b"PING!\r\n",
    b"-ERR 'no'\r\n": b"-ERR!\r\n",
}


@given(st.lists(st.sampled_from([*FRAMES]), max_size=8), st.lists(st.integers(0, 200), max_size=12))
def test_only_lines_are_replaced_however_the_bytes_arrive(
    frames: list[bytes], cuts: list[int]
) -> None:
    said = b"".join(frames)
    ends = [0, *sorted(min(cut, len(said)) for cut in cuts), len(said)]
    heard = Heard()
    read = heard.feed(*(said[a:b] for a, b in pairwise(ends)))
    assert read == b"".join(FRAMES[frame] for frame in frames)
    assert heard.infos == [b'{"a":1}'] * frames.count(b'INFO {"a":1}\r\n')


def test_a_line_may_be_as_long_as_any_server_makes_it() -> None:
    text = b"x" * (MAX_LINE - len(b"INFO \r\n"))
    heard = Heard()
    line = b"INFO " + text + b"\r\n"
    assert heard.feed(*(line[at : at + 1000] for at in range(0, len(line), 1000))) == b""
    assert heard.infos == [text]


@pytest.mark.parametrize("start", [b"", b"INFO {", b"MSG ", b"\x00"])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(start: bytes) -> None:
    heard = Heard()
    heard.feed(start, *[b"x" * 65_536] * (MAX_LINE // 65_536 - 1))
    with pytest.raises(ProtocolError, match="control line"):
        heard.feed(b"x" * 65_536)


@pytest.mark.parametrize("line", [b"MSG a 1 x", b"MSG ", b"HMSG a 1 2 -3", b"MSG a 1 99999999999"])
def test_what_has_no_length_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="is not a length"):
        Heard().feed(line + b"\r\n")


@pytest.mark.parametrize("line", [b"", b"HTTP/1.1 400", b"info {}", b"\xff"])
def test_what_is_no_verb_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="is not a verb"):
        Heard().feed(line + b"\r\n")
