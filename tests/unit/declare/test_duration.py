"""Durations are written with a unit, and printed as they would be written."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jetmesh import Duration
from jetmesh.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "seconds", "printed"),
    [
        ("45s", 45, "45s"),
        ("250ms", 0.25, "250ms"),
        ("2m", 120, "2m"),
        ("120s", 120, "2m"),
        ("1h", 3600, "1h"),
        ("7d", 604_800, "7d"),
        ("1.5s", 1.5, "1500ms"),
        (" 3s ", 3, "3s"),
        ("0s", 0, "0s"),
        ("0.00001s", 0.00001, "0.00001s"),
    ],
)
def test_a_duration_is_read_and_printed(text: str, seconds: float, printed: str) -> None:
    duration = Duration.parse(text)
    assert duration == seconds
    assert str(duration) == printed


@pytest.mark.parametrize(
    "text", ["45", "", "s", "-1s", "1 s", "1S", "1w", "1s2s", "1e3s", ".5s", "0x1s", "nans", "infs"]
)
def test_a_duration_without_a_plain_number_and_a_unit_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"is not a duration.*45s"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["9" * 400 + "s", "200000d"])
def test_a_duration_that_the_server_cannot_count_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="longer") as raised:
        Duration.parse(text)
    assert len(str(raised.value)) < 120


@given(st.integers(0, 10**18))
@example(86_400_000_000_001)
@example(1)
def test_what_is_printed_reads_as_the_same_nanoseconds(nanoseconds: int) -> None:
    duration = Duration(nanoseconds / 1e9)
    assert Duration.parse(str(duration)).ns == duration.ns


def test_it_counts_as_the_number_of_its_seconds() -> None:
    assert Duration(2) + 1 == 3
    assert Duration(0.25).ns == 250_000_000
    assert repr(Duration(90)) == "Duration(90s)"
