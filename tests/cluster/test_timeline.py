"""What counts as standing still, and who should have said so."""

from __future__ import annotations

import pytest

from tests.cluster.chaos.timeline import Sample, longest_gap, silent_stops, stops


def sampled(told: list[int], red: range = range(0), waiting: int = 5) -> list[Sample]:
    """A look a second; `red` are the seconds in which a service is not ready."""
    why = {"payments": "connection lost"}
    return [
        Sample(float(at), n, n, n, waiting, 0, why if at in red else {})
        for at, n in enumerate(told)
    ]


def test_the_longest_time_without_growth_is_the_gap() -> None:
    assert longest_gap([(0.0, 1), (1.0, 2), (2.0, 2), (5.0, 2), (6.0, 3), (7.0, 4)]) == 5.0


def test_a_number_that_never_grows_is_one_gap() -> None:
    assert longest_gap([(0.0, 1), (9.0, 1)]) == 9.0
    assert longest_gap([]) == 0.0


def test_a_stop_is_when_customers_wait_and_nobody_is_told() -> None:
    found = list(stops(sampled([1, 2, 2, 2, 3, 4, 4])))
    assert [(stop.begun, stop.ended) for stop in found] == [(1.0, 3.0), (5.0, 6.0)]
    assert list(stops(sampled([1, 1, 1], waiting=0))) == []


@pytest.mark.parametrize(
    ("red", "silent"), [(range(0), True), (range(30), False), (range(15), True), (range(5), True)]
)
def test_a_long_stop_must_be_red_to_its_end(red: range, silent: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert bool(silent_stops(sampled([7] * 30, red))) is silent


def test_a_short_stop_need_not_be_red() -> None:
    assert silent_stops(sampled([1] * 9 + [2])) == []
