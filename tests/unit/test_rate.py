"""A limit lets through what is allowed, and forgets in time."""

from __future__ import annotations

from jetmesh.rate import RateLimit


def test_a_key_is_allowed_so_often_within_the_time_and_others_are_not_held_back() -> None:
    now = [0.0]
    limit = RateLimit(2, 10, clock=lambda: now[0])
    assert [limit.allows("a") for _ in range(3)] == [True, True, False]
    assert limit.allows("b")
    now[0] = 10.0
    assert [limit.allows("a") for _ in range(3)] == [True, True, False]


def test_zero_is_no_limit() -> None:
    limit = RateLimit(0, 10)
    assert all(limit.allows("a") for _ in range(1000))


def test_a_flood_of_keys_takes_no_memory_without_end() -> None:
    limit = RateLimit(2, 10)
    for number in range(20_000):
        limit.allows(str(number))
    assert len(limit._times) == 10_000
