"""How a test that hangs is ended, and what it is said to have waited for.

pytest-timeout raises in whatever runs when the time is up. Where an event loop runs that is any of
its tasks, which keeps the failure to itself, and the test hangs on: there the loop is ended.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from _pytest.outcomes import Failed
from pytest_timeout import Settings, is_debugging

_CLEANING_SECONDS: Final = 60.0
"""After the time is up, until what ends the test is ended itself."""
_MOST_TASKS: Final = 20

_settings: Final = pytest.StashKey[Settings]()


class TimeIsUp(Failed, SystemExit):
    """An event loop lets a SystemExit through, whoever raises it, and no other failure."""


def pytest_timeout_set_timer(item: pytest.Item, settings: Settings) -> bool:
    """In place of the timer of pytest-timeout: SIGALRM, again and again."""
    item.stash[_settings] = settings
    _start_timer(item, settings.timeout)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """A failure has stopped the timer, and what cleans up behind it may hang, too."""
    if item.stash.get(_settings, None) and not signal.getitimer(signal.ITIMER_REAL)[0]:
        _start_timer(item, _CLEANING_SECONDS)


def _start_timer(item: pytest.Item, seconds: float) -> None:
    told: list[TimeIsUp] = []

    def on_alarm(_: int, __: FrameType | None) -> None:
        if is_debugging():
            return
        loop = asyncio._get_running_loop()
        text = f"{item.name} is not done within {seconds:g} s{_tasks(loop)}"
        error = TimeIsUp(text, pytrace=loop is None)
        told.append(error)
        if loop is None or len(told) > 1:  # again: the loop does not turn
            raise error
        loop.call_soon_threadsafe(_raise, error)

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    item.cancel_timeout = cancel  # type: ignore[attr-defined] # where pytest-timeout looks for it
    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds, _CLEANING_SECONDS)


def _raise(error: TimeIsUp) -> None:
    raise error


def _tasks(loop: asyncio.AbstractEventLoop | None) -> str:
    """Where the tasks of a loop wait, each from its first line to its last."""
    if loop is None:
        return ""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    lines = [f"{task.get_name()}: {' > '.join(_awaited(task.get_coro()))}" for task in tasks]
    return "\n  ".join(["; what runs:", *lines[:_MOST_TASKS]])


def _awaited(awaitable: Any) -> Iterator[str]:
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "gi_frame", None)
        if frame is not None:
            yield f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        awaitable = getattr(awaitable, "cr_await", None) or getattr(awaitable, "gi_yieldfrom", None)
