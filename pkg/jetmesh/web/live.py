"""Server-sent events: a page is told the whole new state whenever it changed, no more often
than a person can follow.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from jetmesh.errors import BrokerError
from jetmesh.runtime.visitors import MOST_STREAMS

PACE: Final = 0.25
"""Seconds between two looks at the state: changes in between reach the page as one."""
BEAT: Final = 10.0
"""Seconds between two signs of life, by which a page sees a connection that died silently."""
_MOST: Final = 256
"""Streams at once where the server does not say how many it can have."""

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


class Fetched:
    """State as bytes that must be fetched, once per version of what is known without."""

    def __init__(
        self, version: Callable[[], object], fetch: Callable[[], Awaitable[bytes]]
    ) -> None:
        self._version = version
        self._fetch = fetch
        self._last: tuple[object, bytes] | None = None

    async def __call__(self) -> bytes:
        version = self._version()
        if self._last is None or self._last[0] != version:
            self._last = (version, await self._fetch())
        return self._last[1]


class Live:
    """An ASGI response that sends `state()`, one line of JSON, now and after every change.

    `state` may be a coroutine function, for what must be fetched. While the broker does not answer
    it, the page keeps what it shows.

    It ends when the browser leaves, and when the server says `http.disconnect` because it stops.
    Of all pages together only so many are open as leave connections to the rest
    (`http.connections`); who comes then is told to come again.
    """

    _open: ClassVar[int] = 0

    def __init__(self, state: Callable[[], bytes | Awaitable[bytes]]) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if Live._open >= scope.get("state", {}).get(MOST_STREAMS, _MOST):
            full = PlainTextResponse("Too many pages are open.\n", 503, {"retry-after": "5"})
            await full(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _headers})
        if scope["method"] == "GET":  # HEAD is answered with the headers alone
            gone = asyncio.create_task(_gone(receive))
            Live._open += 1
            try:
                await self._tell(send, gone)
                # when a server stops, all its pages come back elsewhere: not all at once
                await _write(send, b"retry: %d\n\n" % random.randint(*_BACK))  # noqa: S311 - no secret
            finally:
                Live._open -= 1
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
            state = await self._now()
            if state is not None and state != sent:
                await _write(send, b"data: " + state + b"\n\n")
                sent = state
            await asyncio.wait([gone], timeout=PACE)

    async def _now(self) -> bytes | None:
        """The state; None when it cannot be fetched at the moment."""
        state = self._state()
        if isinstance(state, bytes):
            return state
        try:
            return await state
        except BrokerError:
            return None


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
