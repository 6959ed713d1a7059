"""Threads of one handler, for a `def` handler that would keep the event loop.

They are not those of `concurrent.futures`, which the end of a process waits for: a call that never
returns must not keep it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TypeAlias

Outcome: TypeAlias = tuple[Any, BaseException | None]
"""What a call returned, or what it raised."""
_Answer: TypeAlias = asyncio.Future[Outcome]
_LAST: Final = None


class Threads:
    """Runs calls in `count` threads that are there from the first call to `close`."""

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._started = False
        self._calls: SimpleQueue[tuple[Callable[[], Any], _Answer] | None] = SimpleQueue()

    async def call(self, function: Callable[[], Any]) -> Outcome:
        """Call `function` in one of them; what it raises is returned, whatever it is."""
        if not self._started:
            self._start()
        answer: _Answer = asyncio.get_running_loop().create_future()
        self._calls.put((partial(copy_context().run, function), answer))  # its log lines
        return await answer

    def close(self) -> None:
        """End each of them after the call that it is at."""
        for _ in range(self._count):
            self._calls.put(_LAST)

    def _start(self) -> None:
        self._started = True
        for number in range(self._count):
            name = f"{self._name}-{number}"
            Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not _LAST:
            function, answer = call
            outcome = outcome_of(function)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                answer.get_loop().call_soon_threadsafe(_tell, answer, outcome)


def outcome_of(function: Callable[[], Any]) -> Outcome:
    """Call it; what it raises is returned, whatever it is."""
    try:
        return function(), None
    except BaseException as error:  # noqa: BLE001 - whatever a handler raises ends in a verdict
        return None, error


def _tell(answer: _Answer, outcome: Outcome) -> None:
    if not answer.done():  # it was cancelled: its delivery was given back
        answer.set_result(outcome)
