"""How long a handler waits before it tries again, and which tuning cannot work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmesh import Duration, Policy
from jetmesh.declare.policy import problems_of


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_positive_and_never_beyond_its_cap(attempt: int, chance: float) -> None:
    policy = Policy(backoff=Duration(0.5), backoff_cap=Duration(60))
    assert 0 < policy.delay(attempt, chance) <= 60


def test_the_longest_delay_doubles_with_each_attempt() -> None:
    policy = Policy(backoff=Duration(1), backoff_cap=Duration(5))
    longest = [round(policy.delay(attempt, 1.0), 6) for attempt in (1, 2, 3, 4, 5)]
    assert longest == [1, 2, 4, 5, 5]


def test_the_defaults_have_no_problem() -> None:
    assert problems_of(Policy()) == []


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (Policy(attempts=0), "attempts is 0; it must be positive"),
        (Policy(batch=-1), "batch is -1; it must be positive"),
        (Policy(timeout=Duration(31)), "ack_wait 30s is shorter than timeout 31s"),
        (Policy(max_ack_pending=10), "max_ack_pending 10 is below concurrency 64"),
    ],
)
def test_a_tuning_that_cannot_work_is_said(policy: Policy, problem: str) -> None:
    assert problems_of(policy) == [problem]
