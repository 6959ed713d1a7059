"""A network between client and broker that can be cut, as a router that fails would."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class Proxy:
    """Forwards TCP connections to a port of this machine, until it is cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._whole = asyncio.Event()
        self._whole.set()
        self._way = ""
        self.piece = 1 << 16
        """Bytes that arrive together."""
        self._forwarding: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._forwarding:
            task.cancel()
        await asyncio.gather(*self._forwarding, return_exceptions=True)

    def cut(self, way: str) -> None:
        """Let nothing pass: `swallow` it for ever, or `hold` it back until the network is whole."""
        self._way = way
        self._whole.clear()

    def heal(self) -> None:
        """Let everything pass again; of a connection that lost bytes nothing more."""
        self._whole.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", self._target)
        both = [
            asyncio.create_task(self._forward(reader, onward)),
            asyncio.create_task(self._forward(there, writer)),
        ]
        self._forwarding |= {*both}
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, onward):
            each.transport.abort()

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        broken = False
        with contextlib.suppress(ConnectionError):
            while data := await source.read(1 << 16):
                if not self._whole.is_set() and self._way == "swallow":
                    broken = True
                if broken:
                    continue
                await self._whole.wait()
                for at in range(0, len(data), self.piece):
                    target.write(data[at : at + self.piece])
                    await asyncio.sleep(0)
                await target.drain()
