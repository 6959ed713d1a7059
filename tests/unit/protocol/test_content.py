"""What a payload is that is no event, and where the event is in what is sent as one."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmesh.protocol.content import as_utf8, event_json, remedy_for, seems

EVENT = {"order_id": "p-1", "amount": 3}
TEXT = json.dumps(EVENT)
ENVELOPE = {"specversion": "1.0", "type": "t", "source": "s", "id": "1", "data": EVENT}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=UTF-8"}


@pytest.mark.parametrize(
    ("payload", "content"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (TEXT.encode("utf-16"), "UTF-16 text"),
        (TEXT.encode("utf-16-le"), "UTF-16 text"),
        (TEXT.encode("utf-16-be"), "UTF-16 text"),
        (TEXT.encode("utf-32"), "UTF-32 text"),
        (TEXT.encode("utf-32-be"), "UTF-32 text"),
        (gzip.compress(TEXT.encode(), mtime=0), "gzip"),
        (zlib.compress(TEXT.encode()), "zlib"),
        (bz2.compress(TEXT.encode()), "bzip2"),
        (lzma.compress(TEXT.encode()), "xz"),
        (b"\x28\xb5\x2f\xfd\x04\x58\x01\x00", "zstd"),
        (msgspec.msgpack.encode(EVENT), "msgpack"),
        (msgspec.msgpack.encode([EVENT]), "msgpack"),
        (json.dumps(ENVELOPE).encode(), "a CloudEvents envelope"),
        (json.dumps([ENVELOPE]).encode(), "a batch of CloudEvents"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><a/>", "XML"),
        (b" <order><id>p-1</id></order>", "XML"),
        (b"order_id=p-1&amount=3", "form data"),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--', "form data"),
        (json.dumps(TEXT).encode(), "JSON in a JSON string"),
        (f"{TEXT}\n{TEXT}\n".encode(), "several events, one on each line"),
    ],
)
def test_what_a_payload_seems_to_be(payload: bytes, content: str) -> None:
    assert seems(payload) == content
    assert remedy_for(content)


@pytest.mark.parametrize(
    "payload",
    [
        TEXT.encode(),
        b'{"cut": "of',
        b"hello",
        b"\xff\xff",
        b"[1]",
        b"5",
        b'"text"',
        b"a = b",
        b"\x00",
    ],
)
def test_nothing_is_guessed_of_what_may_be_anything(payload: bytes) -> None:
    assert seems(payload) == ""


@given(st.binary(max_size=200) | st.text(max_size=60).map(str.encode))
def test_any_bytes_can_be_looked_at(payload: bytes) -> None:
    assert isinstance(seems(payload), str)
    assert isinstance(as_utf8(payload), bytes)
    assert isinstance(event_json(payload, STRUCTURED), bytes)


def test_nesting_without_end_is_no_error() -> None:
    for payload in (b"[" * 100_000, b"\x91" * 100_000, b'{"a":' * 100_000):
        assert seems(payload) == ""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_a_text_in_any_unicode_is_read_as_utf_8(encoding: str) -> None:
    assert as_utf8(TEXT.encode(encoding)) == TEXT.encode()


def test_the_event_is_found_behind_a_byte_order_mark_and_in_a_declared_envelope() -> None:
    marked = TEXT.encode("utf-8-sig")
    assert event_json(marked, {}) == TEXT.encode()
    envelope = json.dumps(ENVELOPE).encode()
    assert json.loads(event_json(envelope, STRUCTURED)) == EVENT
    without = {name: value for name, value in ENVELOPE.items() if name != "data"}
    assert event_json(json.dumps(without | {"data_base64": "e30="}).encode(), STRUCTURED) == b"{}"
    assert event_json(json.dumps(without).encode(), STRUCTURED) == b""


def test_nothing_is_unwrapped_that_nobody_declared() -> None:
    envelope = json.dumps(ENVELOPE).encode()
    assert event_json(envelope, {}) == envelope
    assert event_json(envelope, {"Content-Type": "application/json"}) == envelope
    assert event_json(TEXT.encode(), STRUCTURED) == TEXT.encode()  # as a corrected payload
