"""Somebody between client and server, who hears what both say, changes it, and cuts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Self

Pieces = Iterator[bytes]
"""What is sent in place of the server's INFO, each as a chunk of its own."""


class OnPath:
    """Forwards connections to a nats-server, and has its way with the first line of each.

    `rewrite`: what becomes of what the client says. `is_cut`: nothing goes through.
    """

    def __init__(self, target: int, tamper: Callable[[bytes], Pieces] | None = None) -> None:
        self.tamper = tamper
        self.rewrite: Callable[[bytes], bytes] = bytes
        self.is_cut = False
        self.heard: list[bytearray] = []
        """By connection, what the client sent."""
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.drop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop(self) -> None:
        """End every connection, so that clients connect anew."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    @property
    def in_the_clear(self) -> bytes:
        """Everything that clients said and that was not TLS."""
        return b"".join(bytes(each) for each in self.heard if not each.startswith(b"\x16\x03"))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.is_cut:
                raise ConnectionRefusedError
            there, onward = await asyncio.open_connection("127.0.0.1", self._target)
        except ConnectionError:
            writer.close()
            return
        self._writers += [writer, onward]
        heard = bytearray()
        self.heard.append(heard)
        if self.tamper is not None:
            for piece in self.tamper(await there.readline()):
                writer.write(piece)
                await asyncio.sleep(0.02)  # so that it is a chunk of its own
        both = [
            asyncio.create_task(
                _forward(reader, onward, heard, lambda said: self.rewrite(said))  # noqa: PLW0108 - as it is then
            ),
            asyncio.create_task(_forward(there, writer, bytearray(), bytes)),
        ]
        self._tasks |= {*both}
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, onward):
            each.transport.abort()


def appending(*said: bytes) -> Callable[[bytes], Pieces]:
    """Append to the INFO: the first in the same chunk, the others each in one of its own."""

    def tamper(line: bytes) -> Pieces:
        yield line + said[0]
        yield from said[1:]

    return tamper


def claiming(**facts: Any) -> Callable[[bytes], Pieces]:
    """Claim something else in the INFO."""

    def tamper(line: bytes) -> Pieces:
        info = json.loads(line.partition(b" ")[2])
        yield b"INFO " + json.dumps({**info, **facts}).encode() + b"\r\n"

    return tamper


async def _forward(
    source: asyncio.StreamReader,
    target: asyncio.StreamWriter,
    heard: bytearray,
    rewrite: Callable[[bytes], bytes],
) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(1 << 16):
            heard += data
            target.write(rewrite(data))
            await target.drain()
