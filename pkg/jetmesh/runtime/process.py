"""One process, one service or several: from its first line to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextvars import copy_context
from types import FrameType
from typing import Final

import structlog

from jetmesh.declare import Service
from jetmesh.errors import JetmeshError
from jetmesh.privacy.mask import printable
from jetmesh.runtime import logs, streams
from jetmesh.runtime.failures import failed
from jetmesh.runtime.host import require_posix
from jetmesh.runtime.running import Running
from jetmesh.settings import Loaded, load_settings
from jetmesh.settings.together import environ_of

_ALLOCATIONS_BETWEEN_COLLECTIONS: Final = 50_000
_LEFTOVER_SECONDS: Final = 2.0
"""What a task or thread that does not end may take after everything is settled."""


def run(*services: Service) -> None:
    """Run `services` until they are told to end; `jetmesh.run` says how.

    Several end together: when one cannot start, the others end too.
    """
    streams.keep_standard_error()
    ending = _Ending()
    current = ""
    try:
        require_posix()
        members = []
        for service in services:
            current = service.name
            environ = environ_of(current)
            members.append((service, load_settings([service], environ=environ)))
        current = current if len(services) == 1 else ""
        logs.configure(members[0][1].settings.log, current)
        code = asyncio.run(_serve(members, ending))
    except Exception as error:  # noqa: BLE001 - whatever it is, one sentence says it
        code = _failed(current, error)
    ending.done()
    sys.exit(code)


async def _serve(members: Sequence[tuple[Service, Loaded]], ending: _Ending) -> int:
    asked = _on_signals()
    tasks = []
    for service, loaded in members:
        about = copy_context()  # what it logs has its name, whatever calls back
        about.run(structlog.contextvars.bind_contextvars, service=service.name)
        tasks.append(asyncio.create_task(_serve_one(service, loaded, asked), context=about))
    await asyncio.sleep(0)  # each has made what stays
    _tame_garbage_collection()
    await asyncio.wait(tasks)  # not gather: it would cancel once more who is stopping already
    code = max(task.result() for task in tasks)
    ending.begin(code)
    return code


async def _serve_one(service: Service, loaded: Loaded, asked: asyncio.Event) -> int:
    try:
        async with Running(service, loaded) as running:
            waiting = asyncio.create_task(asked.wait())
            await asyncio.wait({waiting, running.started}, return_when=asyncio.FIRST_COMPLETED)
            if running.started.done():
                running.started.result()  # raises what kept it from starting
            await waiting
    except Exception as error:  # noqa: BLE001 - as above
        asked.set()
        return _failed(service.name, error)
    return 0


def _failed(service: str, error: Exception) -> int:
    if not isinstance(error, JetmeshError):
        error = failed("The start", error)
    text = "\n".join(printable(line) for line in str(error).splitlines())
    sys.stderr.write(f"{service or 'jetmesh'}: {text}\n")
    return 1


class _Ending:
    """Sees that the process ends, whatever a task or a thread of its handlers still does."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def begin(self, code: int) -> None:
        self._timer = threading.Timer(_LEFTOVER_SECONDS, os._exit, (code,))
        self._timer.daemon = True
        self._timer.start()

    def done(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _on_signals() -> asyncio.Event:
    """An event that the first signal sets.

    Plain handlers, because those of the event loop wait for it, and a second signal has to end
    a process whose handler never returns.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    signals: list[int] = []

    def stop() -> None:
        structlog.get_logger().info("stopping")
        asked.set()

    def on_signal(number: int, _: FrameType | None) -> None:
        signals.append(number)
        if len(signals) > 1:
            os._exit(1)
        with contextlib.suppress(RuntimeError):  # the loop has ended: so does the process
            loop.call_soon_threadsafe(stop)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return asked


def _tame_garbage_collection() -> None:
    """Look for cycles less often.

    Deliveries in flight are many and short-lived: looking through them every 700 allocations
    costs a tenth of the throughput and finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS, 20, 20)
