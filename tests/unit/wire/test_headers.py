"""Headers come back as they were written, and no header breaks out of its line."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jetmesh import wire

names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"))
values = st.text(st.characters(codec="utf-8", exclude_characters="\r\n")).map(str.strip)


@given(st.dictionaries(names.filter(bool), values, max_size=5))
def test_headers_come_back_as_written(headers: dict[str, str]) -> None:
    assert wire.parse(wire.block(headers)) == (0, "", headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [("A", "b\r\nC: d"), ("A", "b\n"), ("A\r\nB", "c"), ("A: B", "c"), ("", "c"), ("A B", "c")],
)
def test_a_header_that_would_break_its_line_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="cannot carry"):
        wire.block({name: value})


@pytest.mark.parametrize(
    ("block", "status", "description"),
    [
        (b"NATS/1.0\r\n\r\n", 0, ""),
        (b"NATS/1.0 503\r\n\r\n", 503, ""),
        (b"NATS/1.0 404 No Messages\r\n\r\n", 404, "No Messages"),
        (b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\n\r\n", 100, "Idle Heartbeat"),
        (
            b"NATS/1.0 409 Message Size Exceeds MaxBytes\r\n\r\n",
            409,
            "Message Size Exceeds MaxBytes",
        ),
    ],
)
def test_a_status_is_read_with_its_description(block: bytes, status: int, description: str) -> None:
    headers = wire.parse(block)
    assert (headers.status, headers.description) == (status, description)


def test_of_a_repeated_header_the_last_counts() -> None:
    assert wire.parse(b"NATS/1.0\r\nA: 1\r\nA: 2\r\n\r\n").values == {"A": "2"}


def test_a_value_keeps_its_colons() -> None:
    assert wire.parse(b"NATS/1.0\r\nId: a:b:c\r\n\r\n").values == {"Id": "a:b:c"}


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\xfe")
@example(b"NATS/1.0 " + b"9" * 5000)
@example("NATS/1.0 ٣".encode())
@example(b"NATS/1.0\r\n: value\r\nno colon\r\n\r\n")
def test_no_block_is_too_broken_to_read(block: bytes) -> None:
    """Headers come from whoever may publish: they must never end a connection."""
    headers = wire.parse(block)
    assert 0 <= headers.status <= 999
