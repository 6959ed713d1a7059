"""Connections of people who may be hostile: how many, and how long one may take to ask."""

from __future__ import annotations

import asyncio
import resource
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS: Final = 10.0
"""Within so long a request must be there whole, or its connection is closed."""
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 5\r\n"
    b"content-length: 31\r\nconnection: close\r\n\r\nToo many connections are open.\n"
)


class Crowd:
    """The connections of one listener, at most `most` of them.

    Who comes when it is full takes the place of the one that has asked for nothing for longest. If
    all are being answered, who comes is sent away.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._inside: dict[Connection, None] = {}

    def enter(self, connection: Connection) -> bool:
        """Whether there is room for it."""
        if len(self._inside) >= self.most:
            idle = next((each for each in self._inside if each.is_idle), None)
            if idle is None:
                return False
            self.leave(idle)
            idle.end()
        self._inside[connection] = None
        return True

    def leave(self, connection: Connection) -> None:
        self._inside.pop(connection, None)


class Connection(H11Protocol):
    """One connection of a crowd, closed when its request takes too long to arrive."""

    def __init__(self, *, crowd: Crowd, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._crowd = crowd
        self._too_late: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Nothing is being answered on it."""
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        return cycle is None or bool(cycle.response_complete)

    def end(self) -> None:
        """Close it, whatever is still to be sent."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the class above
        super().connection_made(transport)
        if self._crowd.enter(self):
            self._expect()
        else:
            transport.write(_FULL)
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._too_late is None:
            self._expect()
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._expect_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(self)
        self._expect_no_more()
        super().connection_lost(exc)

    def _expect(self) -> None:
        self._too_late = self.loop.call_later(REQUEST_SECONDS, self.end)

    def _expect_no_more(self) -> None:
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None


def affordable(wanted: int) -> int:
    """As many of the `wanted` connections as leave half of this process's files to the rest."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if files == resource.RLIM_INFINITY else max(1, min(wanted, files // 2))
