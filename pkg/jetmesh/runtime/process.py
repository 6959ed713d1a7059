"""One process, one service: from its first line to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
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

_ALLOCATIONS_BETWEEN_COLLECTIONS: Final = 50_000
_LEFTOVER_SECONDS: Final = 2.0
"""What a task or thread that does not end may take after everything is settled."""


def run(service: Service) -> None:
    """Run `service` until it is told to end; `jetmesh.run` says how."""
    streams.keep_standard_error()
    ending = _Ending()
    try:
        require_posix()
        loaded = load_settings([service])
        logs.configure(loaded.settings.log, service.name)
        code = asyncio.run(_serve(service, loaded, ending))
    except Exception as error:  # noqa: BLE001 - whatever it is, one sentence says it
        code = _failed(service, error)
    ending.done()
    sys.exit(code)


async def _serve(service: Service, loaded: Loaded, ending: _Ending) -> int:
    code = 0
    asked = _on_signals()
    try:
        async with Running(service, loaded) as running:
            _tame_garbage_collection()
            waiting = asyncio.create_task(asked.wait())
            await asyncio.wait({waiting, running.started}, return_when=asyncio.FIRST_COMPLETED)
            if running.started.done():
                running.started.result()  # raises what kept it from starting
            await waiting
    except Exception as error:  # noqa: BLE001 - as above
        code = _failed(service, error)
    ending.begin(code)
    return code


def _failed(service: Service, error: Exception) -> int:
    if not isinstance(error, JetmeshError):
        error = failed("The start", error)
    text = "\n".join(printable(line) for line in str(error).splitlines())
    sys.stderr.write(f"{service.name}: {text}\n")
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
