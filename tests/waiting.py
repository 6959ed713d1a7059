"""Wait for what other threads and processes do; `jetmesh.testing.eventually` is for coroutines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def wait_until(
    condition: Callable[[], _T | None],
    *,
    within: float = 30.0,
    what: Callable[[], object] = lambda: "the condition",
    pause: float = 0.02,
) -> _T:
    """Return what `condition()` is, as soon as that is true.

    Raises:
        AssertionError: it is not true after `within` seconds; says `what()`.
    """
    deadline = time.monotonic() + within
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {within:g} s: {what()}"
        time.sleep(pause)
    return result
