"""An event loop without I/O, whose time is the story's: one for each process of a story.

It is a channel among others (`simulation.agenda`): each of its steps runs what is due, as a turn of
a real loop does. A killed process is a loop that is never run again.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import warnings
from asyncio import AbstractEventLoop, Future, Handle, Task, TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context
from itertools import count
from typing import Any, Final

from jetmesh.errors import UsageError
from jetmesh.testing.simulation import SECOND, Server

_STUBBORN: Final = 10
"""So often a coroutine of a dead process may wait for something more at its end."""


class Loop:
    """Runs the tasks of one simulated process (`agenda.Channel`, `clock.Timed`)."""

    def __init__(self, name: str, server: Server) -> None:
        self.name = f"{name}: runs"
        self.is_idle: Callable[[], bool] = lambda: False
        """Whether all that it waits for is housekeeping: no time has to pass for that."""
        self._agenda = server.agenda
        self._clock = server.clock
        self._start = self._clock.now
        self._due: deque[Handle] = deque()
        self._timers: list[tuple[int, int, TimerHandle]] = []
        self._count = count()
        self._tasks: set[Task[Any]] = set()
        self._dead = False
        self._as_loop: Any = self
        self._failures: list[BaseException] = []
        """What nobody waits for: it ends the test, where a service would only log it."""
        self._agenda.open(self, wakes=True)
        self._clock.watch(self)

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """In the block this is the running loop, also where a test has one of its own."""
        outer = asyncio._get_running_loop()  # noqa: SLF001 - for those who implement loops
        task = asyncio.current_task(outer) if outer is not None else None
        if outer is not None and task is not None:
            asyncio.tasks._leave_task(outer, task)  # noqa: SLF001 - as above
        asyncio._set_running_loop(self._as_loop)  # noqa: SLF001 - as above
        try:
            yield
        finally:
            asyncio._set_running_loop(outer)  # noqa: SLF001 - as above
            if outer is not None and task is not None:
                asyncio.tasks._enter_task(outer, task)  # noqa: SLF001 - as above

    # agenda.Channel

    @property
    def ready(self) -> bool:
        return bool(self._due)

    def step(self) -> None:
        """Run what is due now; what comes of that is due in the next step."""
        for _ in range(len(self._due)):
            if not self._due:
                break  # it was killed
            handle = self._due.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001 - for those who implement loops
        if self._failures:
            raise self._failures.pop()

    # clock.Timed

    def due(self) -> int | None:
        if self.is_idle():
            return None
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def ring(self) -> None:
        """What was to happen by now is due."""
        while self._timers and self._timers[0][0] <= self._clock.now:
            self._due.append(heapq.heappop(self._timers)[2])
            self._agenda.wake(self)

    def kill(self) -> None:
        """Run nothing more, as after kill -9: what ends by that has no effect on anybody."""
        self._dead = True
        self._agenda.close(self)
        self._clock.forget(self)
        self._due.clear()
        self._timers.clear()
        with self.current(), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of coroutines that never began
            while self._tasks:  # some begin others at their end
                task = self._tasks.pop()
                task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - it is meant
                _close(task.get_coro())

    # asyncio.AbstractEventLoop, as far as handlers without I/O need it

    def time(self) -> float:
        return (self._clock.now - self._start) / SECOND

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, self._as_loop, context)
        if not self._dead:
            self._due.append(handle)
            self._agenda.wake(self)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        timer = TimerHandle(when, callback, args, self._as_loop, context)
        if not self._dead:
            at = self._start + round(when * SECOND)
            heapq.heappush(self._timers, (at, next(self._count), timer))
        return timer

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        """It is passed over when it would be due."""

    def create_future(self) -> Future[Any]:
        return Future(loop=self._as_loop)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, **more: Any
    ) -> Task[Any]:
        task: Task[Any] = Task(coro, loop=self._as_loop, name=name, **more)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def run_in_executor(
        self, _executor: Any, function: Callable[..., Any], *args: Any
    ) -> Future[Any]:
        """Here and now: threads would make a story another one each time."""
        future = self.create_future()
        try:
            future.set_result(function(*args))
        except Exception as error:  # noqa: BLE001 - whoever waits for it gets it
            future.set_exception(error)
        return future

    def is_running(self) -> bool:
        return not self._dead

    def is_closed(self) -> bool:
        return self._dead

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._dead and (error := context.get("exception")) is not None:
            self._failures.append(error)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        error = UsageError(
            "A handler reaches for the network, which a story does not have.",
            remedy="Let it ask for a resource, and declare its double with @service.rehearsal.",
        )
        self._failures.append(error)
        raise error

    def __getattr__(self, name: str) -> Any:
        """All else that a loop has is I/O."""
        if hasattr(AbstractEventLoop, name):
            return self._refuse
        raise AttributeError(name)


def _close(coroutine: Any) -> None:
    """End a coroutine wherever it stands."""
    for _ in range(_STUBBORN):
        with contextlib.suppress(BaseException):
            coroutine.close()
            return
