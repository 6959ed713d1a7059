"""A connection to a server that knows us: an `asyncio.BufferedProtocol` on the sans-io codec."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from jetmesh import wire
from jetmesh.declare.permissions import Action
from jetmesh.errors import BrokerError
from jetmesh.transport.info import Info, read_info
from jetmesh.transport.turns import Turns

_CHUNK: Final = 65_536
"""Bytes read at once: outputs leave when a chunk is done, and the server should not wait longer."""
_CLOSE_SECONDS: Final = 0.5
_LINGER_SECONDS: Final = 0.004
_MANY: Final = 64
"""Frames that are worth a system call of their own."""
_HIGH_WATER: Final = 4 * 1024 * 1024
_DENIED: Final = re.compile(r'Permissions Violation(?: for (Publish|Subscription) to "(.*?)")?')


class Link(asyncio.BufferedProtocol):
    """Bytes in to callbacks, frames out in one write per turn of the event loop.

    Frames are appended to `out` while a chunk of input is read, and leave together when it is
    done; `send` does the same for everything that happens at another time. `handshake` made the
    connection and hands it over.
    """

    def __init__(
        self,
        info: Info,
        routes: Mapping[bytes, wire.OnMessage],
        *,
        turns: Turns,
        on_lost: Callable[[str], None],
        on_info: Callable[[Info], None],
        on_denied: Callable[[Action, str], None],
        on_writable: Callable[[], None],
    ) -> None:
        self.out: list[bytes] = []
        self.info = info
        self.congested = False
        """The socket takes no more for now: pull nothing new."""
        self.heard = False
        """Something arrived since it was last set to False."""
        self._decoder = wire.Decoder(routes, self._on_control)
        self._begin_turn = turns.begin
        self._on_lost = on_lost
        self._on_info = on_info
        self._on_denied = on_denied
        self._on_writable = on_writable
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._flush_due = False
        # a view, because TLS fills it in slices, and a slice of a bytearray is a copy
        self._input = memoryview(bytearray(_CHUNK))
        self._reading = False
        self._lingering: asyncio.TimerHandle | None = None
        self._up = True
        self._lost = False
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._ended: asyncio.Future[None] | None = None
        self._reason = ""

    def send(self, frame: bytes) -> None:
        """Send `frame` with everything else of this turn of the event loop."""
        self.out.append(frame)
        if not self._flush_due:
            self._flush_due = True
            if not self._reading:
                self._loop.call_soon(self._flush)

    def send_later(self, frame: bytes) -> None:
        """Send `frame` with the next one that cannot wait, or in some milliseconds.

        Nobody waits for an ack, and one system call less per message is worth the delay: when
        messages come one by one, waking the server costs more than handling them.
        """
        self.out.append(frame)
        if not self._reading:
            self._linger()

    def write(self, data: bytes) -> None:
        """Send at once."""
        if self._transport is not None:
            self._transport.write(data)

    def take_unsent(self) -> list[bytes]:
        """The frames that were still to be written when the connection was lost."""
        left, self.out = self.out, []
        return left

    async def flush(self) -> None:
        """Return once the server has read everything sent so far.

        Raises:
            BrokerError: the connection was lost meanwhile.
        """
        if self._lost:
            raise BrokerError(self._reason)
        await self.ping()

    def ping(self) -> asyncio.Future[None]:
        """Ask for a sign of life; it comes when the server has read everything sent so far."""
        self._flush()
        answered = self._loop.create_future()
        self._pongs.append(answered)  # answers come in the order of questions
        self.write(wire.PING)
        return answered

    def abort(self, reason: str) -> None:
        """Give the connection up; `on_lost` follows."""
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()

    def end(self, reason: str) -> None:
        """Send what is left, then give the connection up; `on_lost` follows."""
        self._reason = reason
        self._flush()
        if self._transport is not None:
            self._transport.close()

    async def close(self) -> None:
        """End the connection; `on_lost` is not called."""
        self._up = False
        if self._transport is None or self._lost:
            return
        self._ended = self._loop.create_future()
        self._transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._ended
        self._transport.abort()  # TLS would wait half a minute for a farewell

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_connection makes one
        self._transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - it is always the same
        return self._input

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._input[:nbytes])
        self.heard = True
        self._begin_turn()
        self._reading = True  # what this chunk causes leaves in one write, below
        try:
            self._decoder.feed(data)
        except wire.ProtocolError as error:
            self.abort(f"the server does not speak NATS: {error}")
        finally:
            self._reading = False
            if self._flush_due or len(self.out) > _MANY:
                self._flush()
            elif self.out:
                self._linger()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        # what the server said before it hung up tells more than how the socket ended
        self._reason = self._reason or str(error or "") or "the server closed the connection"
        for waiting in self._pongs:
            if not waiting.done():
                waiting.set_exception(BrokerError(self._reason))
                waiting.exception()  # it may be that nobody waits any more
        if self._up:
            self._up = False
            self._on_lost(self._reason)

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False
        self._on_writable()

    def _flush(self) -> None:
        self._flush_due = False
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self.out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self.out))
            self.out.clear()

    def _linger(self) -> None:
        if self._lingering is None and not self._flush_due:
            self._lingering = self._loop.call_later(_LINGER_SECONDS, self._flush)

    def _on_control(self, verb: bytes, argument: bytes) -> None:
        if verb == b"PING":
            self.send(wire.PONG)
        elif verb == b"PONG":
            if self._pongs and not (waiting := self._pongs.popleft()).done():
                waiting.set_result(None)
        elif verb == b"INFO":
            self._read_info(argument)
        elif verb == b"-ERR":
            text = argument.decode(errors="replace").strip("'")
            if denied := _DENIED.match(text):
                action: Action = "subscribe" if denied[1] == "Subscription" else "publish"
                self._on_denied(action, denied[2] or text)
            else:
                self._reason = text  # the server hangs up after everything else it says

    def _read_info(self, argument: bytes) -> None:
        try:
            self.info = read_info(argument, Info)
        except BrokerError as error:
            self.abort(error.message)
        else:
            self._on_info(self.info)
