"""Server-sent events: a page is told the whole new state whenever it changed, no more often
than a person can follow.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from starlette.types import Receive, Scope, Send

PACE: Final = 0.25
"""Seconds between two looks at the state: changes in between reach the page as one."""
BEAT: Final = 10.0
"""Seconds between two signs of life, by which a page sees a connection that died silently."""

_BACK: Final = 100, 1000
"""Milliseconds after which a browser connects anew."""

_headers: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class Rendered:
    """State as bytes, rendered once per version however many pages look at it."""

    def __init__(self, version: Callable[[], object], render: Callable[[], bytes]) -> None:
        self._version = version
        self._render = render
        self._last: tuple[object, bytes] | None = None

    def __call__(self) -> bytes:
        version = self._version()
        if self._last is None or self._last[0] != version:
            self._last = (version, self._render())
        return self._last[1]


class Live:
    """An ASGI response that sends `state()`, one line of JSON, now and after every change.

    It ends when the browser leaves, and when the server says `http.disconnect` because it stops.
    """

    def __init__(self, state: Callable[[], bytes]) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _headers})
        if scope["method"] == "GET":  # HEAD is answered with the headers alone
            gone = asyncio.create_task(_gone(receive))
            try:
                await self._tell(send, gone)
                # when a server stops, all its pages come back elsewhere: not all at once
                await _write(send, b"retry: %d\n\n" % random.randint(*_BACK))  # noqa: S311 - no secret
            finally:
                gone.cancel()
        await _write(send, b"", more=False)

    async def _tell(self, send: Send, gone: asyncio.Task[None]) -> None:
        await _write(send, b"retry: 1000\n\n")
        sent: bytes | None = None
        beat = -BEAT
        while not gone.done():
            if time.monotonic() - beat > BEAT:
                await _write(send, b"event: beat\ndata: %d\n\n" % (time.time() * 1000))
                beat = time.monotonic()
            state = self._state()
            if state != sent:
                await _write(send, b"data: " + state + b"\n\n")
                sent = state
            await asyncio.wait([gone], timeout=PACE)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
