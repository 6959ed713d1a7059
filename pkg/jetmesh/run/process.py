"""One process, one service: from its first line to its exit code."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys

import structlog

from jetmesh.declare import Service
from jetmesh.errors import JetmeshError
from jetmesh.run import logs
from jetmesh.run.running import Running
from jetmesh.settings import Loaded, load_settings

_ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000


def run(service: Service) -> None:
    """Run `service` until SIGTERM or SIGINT, then exit with 0.

    Settings come from `$JETMESH_SETTINGS` or ./jetmesh.toml and from the environment. A wrong
    setting or a server that is too old ends with one sentence and exit code 1; a broker that is
    not there is waited for. A second signal ends at once.
    """
    try:
        loaded = load_settings([service])
        logs.configure(loaded.settings.log, service.name)
        asyncio.run(_serve(service, loaded))
    except JetmeshError as error:
        sys.stderr.write(f"{service.name}: {error}\n")
        sys.exit(1)
    sys.exit(0)


async def _serve(service: Service, loaded: Loaded) -> None:
    ended = asyncio.Event()
    _on_signals(ended)
    async with Running(service, loaded) as running:
        _tame_garbage_collection()
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait({waiting, running.started}, return_when=asyncio.FIRST_COMPLETED)
        if running.started.done():
            running.started.result()  # raises what kept it from starting
        await waiting


def _on_signals(ended: asyncio.Event) -> None:
    def on_signal() -> None:
        if ended.is_set():
            os._exit(1)
        structlog.get_logger().info("stopping")
        ended.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)


def _tame_garbage_collection() -> None:
    """Look for cycles less often.

    Deliveries in flight are many and short-lived: looking through them every 700 allocations
    costs a tenth of the throughput and finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS, 20, 20)
