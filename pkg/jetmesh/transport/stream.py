"""What nats-py reads and writes: connections that our own handshake made.

nats-py believes what comes before TLS, looks for TLS only where a server asks for it, and keeps
what it was told in the clear. So it never sees any of that: the handshake is the same as the data
plane's, and to nats-py every server is one without TLS that asks for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn
from urllib.parse import ParseResult

from nats.aio.transport import Transport

from jetmesh import wire
from jetmesh.errors import BrokerError
from jetmesh.transport.handshake import Connection
from jetmesh.transport.info import Info, read_info
from jetmesh.transport.servers import Server

_CLOSE_SECONDS: Final = 0.5
_ANSWERED: Final = (b"CONNECT ", b"PING")
"""What nats-py's handshake sends; ours has sent it, and read what comes of it."""
_BUFFER: Final = 1 << 20
"""Bytes kept for nats-py before the socket is read no further."""
_GREETING: Final = b'INFO {"headers":true,"max_payload":%d}\r\nPONG\r\n' % wire.MAX_MESSAGE
"""INFO and PONG as nats-py's handshake reads them; the server's own have been read. What is too
large is for the session to say: the limit may change, and nats-py would not know."""
_DENIED: Final = "permissions violation"


class Stream(Transport):
    """A `nats.aio.transport.Transport` that is given to a client before it connects.

    `again` makes a new connection; it raises OSError where none is to be had. `on_info` is told
    what a server says of itself later.
    """

    def __init__(
        self,
        first: Connection,
        again: Callable[[], Awaitable[Connection]],
        on_info: Callable[[Info, Server], None],
    ) -> None:
        self.connection = first
        self.info = first.info
        """The newest that the server said of itself."""
        self.ending = ""
        """What the server said, or did, before the connection came to its end."""
        self._again = again
        self._on_info = on_info
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._answered: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        return True  # or nats-py would put one of its own in our place

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:  # noqa: ARG002 - where to is ours to say
        """Connect, and let nats-py find what it expects of a new connection."""
        if self._writer is not None:
            self.abort()  # nats-py does not close an attempt that came to nothing
            self.connection = await self._again()
        self.info, self.ending = self.connection.info, ""
        self._reader = asyncio.StreamReader(limit=_BUFFER)
        self._reader.feed_data(_GREETING)
        self._answered = _ANSWERED
        protocol = asyncio.StreamReaderProtocol(self._reader)
        try:
            self.connection.hand_to(protocol)
        except BrokerError as error:
            raise ConnectionError(str(error)) from error
        self._writer = asyncio.StreamWriter(
            self.connection.transport, protocol, self._reader, asyncio.get_running_loop()
        )

    async def connect_tls(
        self,
        uri: str | ParseResult,
        ssl_context: ssl.SSLContext,
        buffer_size: int,
        connect_timeout: int,
    ) -> None:
        """Never called: TLS is up where it is to be."""
        raise NotImplementedError

    def write(self, payload: bytes) -> None:
        """Send, unless it belongs to a handshake that is over already."""
        if self._answered and payload.startswith(self._answered[0]):
            self._answered = self._answered[1:]
        elif self._writer is not None and not self._writer.is_closing():
            self._writer.write(payload)

    def writelines(self, payload: list[bytes]) -> None:
        """Send several."""
        self.write(b"".join(payload))

    async def read(self, buffer_size: int) -> bytes:
        """What arrived."""
        assert self._reader is not None  # noqa: S101 - nats-py connects first
        return await self._reader.read(buffer_size)

    async def readline(self) -> bytes:
        """The next line."""
        assert self._reader is not None  # noqa: S101 - nats-py connects first
        return await self._reader.readline()

    async def drain(self) -> None:
        """Return once the socket takes more."""
        if self._writer is not None:
            await self._writer.drain()

    async def wait_closed(self) -> None:
        """Return once it is closed; a peer that says nothing gets half a second."""
        if self._writer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    # shielded: who is cancelled here would else cancel whoever waits later, too
                    await asyncio.shield(self._writer.wait_closed())
        self.abort()

    def close(self) -> None:
        """Send what is left, then end the connection."""
        if self._writer is not None:
            self._writer.close()

    def abort(self) -> None:
        """End the connection at once."""
        self.connection.transport.abort()

    def at_eof(self) -> bool:
        """Whether everything was read that will ever come."""
        return self._reader is None or self._reader.at_eof()

    # what the server says beside messages

    def on_info(self, argument: bytes) -> bool:
        """What the server says of itself; whether it goes away.

        Raises:
            ConnectionError: that cannot be true.
        """
        try:
            self.info = read_info(argument, Info)
        except BrokerError as error:
            self.fail(error.message)
        self._on_info(self.info, self.connection.server)
        return self.info.ldm

    def on_error(self, argument: bytes) -> str:
        """An error, in words; unless it denies something, the server ends the connection."""
        said = argument.decode(errors="replace").strip("'") or "an error without a text"
        if not said.lower().startswith(_DENIED):
            self.ending = said
        return said

    def fail(self, reason: str) -> NoReturn:
        """Let nats-py begin anew; raises ConnectionError, which it takes for a lost connection."""
        self.ending = reason
        raise ConnectionError(reason)
