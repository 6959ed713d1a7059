"""Many instances of one service in one process: `python -m peers.crowd COUNT`.

Each is what a process would be: two connections, an address, an identity. It prints `ready` once
all of them are, and ends them together when it is told to.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from contextlib import AsyncExitStack

import structlog
from msgspec import Struct

from jetmesh import Service, event
from jetmesh.runtime.running import Running
from jetmesh.settings import load_settings


@event("crowd.taken", key="id")
class Taken(Struct, frozen=True):
    """What there is to do."""

    id: str


@event("copies.made", key="id", decision="copies.*")
class Made(Struct, frozen=True):
    """That it is done."""

    id: str


def crowded() -> Service:
    """One of them."""
    service = Service("crowd", version="1.0.0")

    @service.on(Taken)
    def copy(taken: Taken) -> Made:
        return Made(taken.id)

    return service


async def main(count: int) -> None:
    """Run `count` of them until a signal comes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with AsyncExitStack() as stack:
        services = [crowded() for _ in range(count)]
        found = [Running(each, load_settings([each])) for each in services]
        await asyncio.gather(*(stack.enter_async_context(each) for each in found))
        await asyncio.gather(*(each.started for each in found))
        print("ready", flush=True)
        await ended.wait()
        await asyncio.gather(*(each.__aexit__(None, None, None) for each in found))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
