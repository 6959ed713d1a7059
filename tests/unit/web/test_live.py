"""Server-sent events: the state at once, few updates, and an end when it is time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from jetmesh.web import Live, Rendered


class Stream:
    """A browser that reads server-sent events, without a socket."""

    def __init__(self, state: Callable[[], bytes], method: str = "GET") -> None:
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self._left = asyncio.Event()
        scope = {"type": "http", "method": method}
        self.response = asyncio.ensure_future(Live(state)(scope, self._receive, self._send))

    def leave(self) -> None:
        self._left.set()

    async def data(self) -> list[Any]:
        """The next state that arrives."""
        while True:
            frame = await asyncio.wait_for(self.frames.get(), 5)
            if frame.startswith(b"data: "):
                return [json.loads(frame[6:])]

    async def _receive(self) -> dict[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            self.frames.put_nowait(message["body"])


async def test_a_stream_tells_the_state_at_once_and_after_each_change() -> None:
    state = [b"1"]
    stream = Stream(lambda: state[0])
    assert await stream.data() == [1]
    state[0] = b"2"
    assert await stream.data() == [2]
    stream.leave()
    await asyncio.wait_for(stream.response, 5)


async def test_many_changes_reach_the_page_as_few() -> None:
    count = 0
    stream = Stream(lambda: b"%d" % count)
    await stream.data()
    started = asyncio.get_running_loop().time()
    for _ in range(3):
        seen = count
        while (await stream_quiet(stream)) is None:
            count += 1
        assert count > seen
    assert asyncio.get_running_loop().time() - started >= 0.5
    stream.leave()
    await asyncio.wait_for(stream.response, 5)


async def stream_quiet(stream: Stream) -> bytes | None:
    """A frame if one has arrived."""
    await asyncio.sleep(0)
    return None if stream.frames.empty() else stream.frames.get_nowait()


async def test_a_stream_ends_at_once_when_its_reader_leaves_or_the_server_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not at its next look at the state."""
    monkeypatch.setattr("jetmesh.web.live.PACE", 3600)
    stream = Stream(lambda: b"1")
    await stream.data()
    stream.leave()
    await asyncio.wait_for(stream.response, 5)


async def test_asking_for_the_headers_of_a_stream_ends() -> None:
    await asyncio.wait_for(Stream(lambda: b"1", "HEAD").response, 5)


def test_a_state_is_rendered_once_per_version() -> None:
    version, rendered = [1], []

    def render() -> bytes:
        rendered.append(version[0])
        return b"%d" % version[0]

    state = Rendered(lambda: version[0], render)
    assert [state(), state()] == [b"1", b"1"]
    version[0] = 2
    assert state() == b"2"
    assert rendered == [1, 2]
