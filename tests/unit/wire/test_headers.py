"""Headers come back as they were written, and no header breaks out of its line."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jetmesh import wire

names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"))
values = st.text(st.characters(codec="utf-8", exclude_characters="\r\n")).map(str.strip)
blanks = st.sampled_from(" :\t\r\n\x0b\x1c\x85\xa0")
odd = st.text(st.characters(codec="utf-8") | blanks, max_size=8)
lines = st.one_of(
    st.binary(max_size=20),
    odd.map(str.encode),
    st.sampled_from([b"A: b", b"no colon", b": v", b"A:", b"  c", b"\tA: b", b"A: \xff"]),
)
versions = st.sampled_from([b"NATS/1.0", b"NATS/1.0 503", b"NATS/1.0 404 \xff", b"", b"X"])
ends = st.sampled_from([b"\r\n\r\n", b"\r\n", b"", b"\n"])


@given(st.dictionaries(names.filter(bool), values, max_size=5))
def test_headers_come_back_as_written(headers: dict[str, str]) -> None:
    assert wire.parse(wire.block(headers)) == (0, "", headers)


@given(odd, odd)
@example("\x0b", "a")
@example("a", "\xa0b")
def test_what_a_block_takes_it_gives_back(name: str, value: str) -> None:
    """Blanks around a value are no part of it."""
    try:
        block = wire.block({name: value})
    except ValueError:
        return
    assert wire.parse(block) == (0, "", {name: value.strip()})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("A", "b\r\nC: d"),
        ("A", "b\n"),
        ("A\r\nB", "c"),
        ("A: B", "c"),
        ("", "c"),
        ("A B", "c"),
        ("A\t", "c"),
        ("\xa0", "c"),
    ],
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


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (b"no colon", {}),
        (b": v", {"": "v"}),
        (b"A:", {"A": ""}),
        (b"  A : b ", {"A": "b"}),
        (b"A B: c", {"A B": "c"}),
        (b"A: b\rc", {"A": "b\rc"}),
        (b"A: \xff", {"A": "\ufffd"}),
        (b"\xff: a", {"\ufffd": "a"}),
        (b"A: b\r\n  c", {"A": "b"}),
        (b"A: =?utf-8?q?x?=", {"A": "=?utf-8?q?x?="}),
    ],
)
def test_an_odd_line_is_read_as_it_stands(line: bytes, values: dict[str, str]) -> None:
    """NATS headers look like those of a mail, and are none: nothing is folded or encoded."""
    assert wire.parse(b"NATS/1.0\r\n" + line + b"\r\nZ: z\r\n\r\n").values == {**values, "Z": "z"}


@given(st.tuples(versions, st.lists(lines, max_size=5), ends))
def test_lines_are_read_one_by_one(parts: tuple[bytes, list[bytes], bytes]) -> None:
    """An odd line costs no other line its value."""
    version, odd_lines, end = parts
    block = b"\r\n".join([version, *odd_lines, b"Sure: yes"]) + end
    assert wire.parse(block).values["Sure"] == "yes"


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


@given(st.binary(max_size=60).filter(lambda value: not {*b"\r\n"} & {*value}))
@example(b"\xff\xfe")
@example("é\udcff".encode(errors="surrogateescape"))
def test_what_is_read_exactly_is_written_as_it_was(value: bytes) -> None:
    """Blanks around a value are no part of it; a blank of Unicode is one, too."""
    found = wire.parse(b"NATS/1.0\r\nA: %b\r\n\r\n" % value, exact=True).values
    again = wire.parse(wire.block(found), exact=True).values
    assert again == found
    assert wire.bytes_of(found["A"]) in value
    assert wire.legible(found["A"]) == wire.bytes_of(found["A"]).decode(errors="replace")
    wire.legible(found["A"]).encode()


def test_a_value_that_is_no_utf_8_is_legible_all_the_same() -> None:
    block = b"NATS/1.0\r\nA: caf\xe9\r\n\r\n"
    assert wire.parse(block).values == {"A": "caf\ufffd"}
    assert wire.legible(wire.parse(block, exact=True).values["A"]) == "caf\ufffd"
    assert wire.block(wire.parse(block, exact=True).values) == block
