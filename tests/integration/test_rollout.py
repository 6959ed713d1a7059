"""SIGTERM while people look at pages: /readyz says it first, and nobody is refused for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import httpx

from jetmesh.testing import eventually
from tests.integration.child_process import Child

LINGER = 3.0


def client_of(service: Child) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{service.pages}", trust_env=False, timeout=20
    )


async def test_no_request_is_refused_before_the_pause_is_over(
    child: Callable[..., Child],
) -> None:
    """Pages and what they publish, from connections that are kept and from new ones."""
    service = child(script="showing").start(JETMESH__LINGER=f"{LINGER}s")
    await service.ready()
    failed: list[tuple[float, str]] = []
    answered: list[float] = []
    ended = asyncio.Event()

    async def look(path: str, method: str) -> None:
        async with client_of(service) as client:
            while not ended.is_set():
                sent = time.monotonic()
                try:
                    answer = await client.request(method, path, params={"number": str(sent)})
                    assert answer.status_code == 200, answer.text
                    answered.append(sent)
                except httpx.TransportError as error:
                    failed.append((sent, repr(error)))
                    return

    looking = [asyncio.create_task(look(*each)) for each in 3 * [("/", "GET"), ("/ask", "POST")]]
    await eventually(lambda: len(answered) > 50, what="answers")
    stopped = time.monotonic()
    service.process.terminate()
    await service.unready("stopping")
    assert await service.ended(within=30) == 0
    over = time.monotonic()
    ended.set()
    await asyncio.gather(*looking)
    assert over - stopped >= LINGER
    # what is sent at the very end may meet a listener that has just closed
    assert [each for each in failed if each[0] < stopped + LINGER - 0.1] == []
    assert len([sent for sent in answered if sent > stopped]) > 50


async def test_whoever_keeps_a_connection_is_told_to_make_another(
    child: Callable[..., Child],
) -> None:
    service = child(script="showing").start(JETMESH__LINGER=f"{LINGER}s")
    await service.ready()
    async with client_of(service) as client:
        assert "connection" not in (await client.get("/")).headers
        service.process.terminate()
        await service.unready("stopping")
        assert (await client.get("/")).headers["connection"] == "close"
    assert await service.ended(within=30) == 0


async def test_a_stream_of_events_ends_when_the_pause_does_and_says_when_to_come_back(
    child: Callable[..., Child],
) -> None:
    service = child(script="showing").start(JETMESH__LINGER=f"{LINGER}s")
    await service.ready()
    async with client_of(service) as client, client.stream("GET", "/events") as stream:
        lines = stream.aiter_lines()
        assert await anext(lines) == "retry: 1000"
        stopped = time.monotonic()
        service.process.terminate()
        told = [line async for line in lines if line]  # a connection that is cut would raise
        assert time.monotonic() - stopped >= LINGER
        assert told[-1].startswith("retry: ")
    assert await service.ended(within=30) == 0


async def test_without_pages_nobody_waits(child: Callable[..., Child]) -> None:
    service = child(script="slow").start(JETMESH__LINGER="60s", CHILD_SECONDS="0")
    await service.ready()
    service.process.terminate()
    assert await service.ended(within=30) == 0
