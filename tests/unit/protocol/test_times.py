"""Times to the nanosecond: what is read is what was written, whoever wrote it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmesh.protocol.times import is_same_time, nanoseconds_of, time_at, time_text

NS = 1_700_000_000_123_456_789


@given(st.integers(min_value=0, max_value=2**62))
def test_a_time_is_read_as_it_was_written(nanoseconds: int) -> None:
    assert nanoseconds_of(time_text(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("2023-11-14T22:13:20.123456789Z", NS),
        ("2023-11-14T22:13:20.123456789+00:00", NS),
        ("2023-11-15T00:13:20.123456789+02:00", NS),
        ("2023-11-14T22:13:20.1234567Z", NS - 89),
        ("2023-11-14T22:13:20.123457+00:00", NS + 211),
        ("2023-11-14T22:13:20Z", NS - 123_456_789),
        ("2023-11-14T22:13:20", NS - 123_456_789),
        ("2023-11-14T22:13:20.1234567891", NS),
        ("1970-01-01T00:00:00.000000001Z", 1),
    ],
)
def test_every_form_that_a_server_or_an_older_version_writes_is_read(
    text: str, nanoseconds: int
) -> None:
    assert nanoseconds_of(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    ["", "noon", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00"],
)
def test_what_no_server_can_have_stored_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"1970|isoformat"):
        nanoseconds_of(text)


def test_python_keeps_the_microsecond_below() -> None:
    assert time_at(NS + 999) == datetime(2023, 11, 14, 22, 13, 20, 123457, UTC)
    assert time_at(NS) == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)


@given(st.integers(min_value=1, max_value=2**62))
def test_what_an_older_version_rounded_is_the_same_time(nanoseconds: int) -> None:
    old = datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat()
    assert is_same_time(nanoseconds, nanoseconds_of(old))


def test_an_unknown_time_may_be_any_and_a_life_later_is_another() -> None:
    assert is_same_time(0, NS)
    assert is_same_time(NS, 0)
    assert not is_same_time(NS, NS + 1_001)
