"""What people publish by hand: read from a file as it is, or called by its name."""

from __future__ import annotations

import gzip
import json

import msgspec
import pytest

from jetmesh.errors import ContractViolation
from jetmesh.operate.publish import check, split
from tests.unit.declared import Created, spec

ONE = b'{"id": "p-1"}'
TWO = ONE + b'\n{"id": "p-2"}\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_file_is_read_in_any_unicode(encoding: str) -> None:
    """PowerShell writes UTF-16, and UTF-8 with a byte order mark."""
    (event,) = check(spec(Created), split(ONE.decode().encode(encoding)))
    assert (event.subject, event.payload) == ("purchases.created.p-1", ONE)
    several = check(spec(Created), split(TWO.decode().encode(encoding)))
    assert [each.subject for each in several] == ["purchases.created.p-1", "purchases.created.p-2"]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (gzip.compress(TWO, mtime=0), "gzip"),
        (msgspec.msgpack.encode({"id": "p-1"}), "msgpack"),
        (b"<a>\n<b/>\n</a>", "XML"),
        (b"id=p-1&amount=2", "form data"),
        (
            b'{"specversion": "1.0", "type": "t", "source": "s", "data": {"id": "p-1"}}',
            "a CloudEvents envelope",
        ),
        (json.dumps(ONE.decode()).encode(), "JSON in a JSON string"),
    ],
)
def test_what_is_no_event_is_called_by_its_name_once(text: bytes, content: str) -> None:
    with pytest.raises(ContractViolation) as caught:
        check(spec(Created), split(text))
    told = "The event breaks the contract of purchases.created at $: it seems to be"
    assert caught.value.message.startswith(f"{told} {content}; publish ")
    assert (caught.value.path, caught.value.content) == ("$", content)


def test_of_several_lines_the_wrong_one_is_named() -> None:
    with pytest.raises(ContractViolation, match=r"^Line 2 breaks the contract .* seems to be XML"):
        check(spec(Created), split(ONE + b"\n<a/>"))


@pytest.mark.parametrize("text", [b"", b" \r\n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_file_holds_no_event(text: bytes) -> None:
    with pytest.raises(ContractViolation, match="It is empty"):
        check(spec(Created), split(text))


@pytest.mark.parametrize("text", [b"[" * 100_000, b'"\xff"', b"\xff\xff\n\xff"])
def test_what_nobody_can_read_breaks_the_contract_too(text: bytes) -> None:
    with pytest.raises(ContractViolation):
        check(spec(Created), split(text))
