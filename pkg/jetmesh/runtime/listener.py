"""One port and what answers on it, from the first moment of a process to its last."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import structlog
import uvicorn
from starlette.types import ASGIApp

from jetmesh.errors import SettingsError
from jetmesh.privacy.mask import text_of
from jetmesh.runtime.connections import Connection, Crowd

_CLOSE_SECONDS: Final = 1
_BACKLOG: Final = 128
"""So many are accepted in one turn of the event loop, before any of them can be sent away."""
_READ_SECONDS: Final = 30
"""For so long a reader may take nothing of its answer."""

log = structlog.get_logger()


class Listener:
    """Answers on `host:port` what `app` says, on at most `most` connections.

    Raises:
        SettingsError: the port cannot be had; `setting` names it.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, *, setting: str, most: int) -> None:
        self._socket = _bind(host, port, setting)
        self._address = self._socket.getsockname()[:2]
        protocol: Any = partial(Connection, crowd=Crowd(most))
        self._server = _Server(
            uvicorn.Config(
                app,
                http=protocol,
                interface="asgi3",  # uvicorn cannot tell from a bound method
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                backlog=_BACKLOG,
                proxy_headers=False,  # HttpServer believes those that the settings name
                server_header=False,
                date_header=False,  # of the newest tick, which there is not: `with_headers` has it
                timeout_graceful_shutdown=_CLOSE_SECONDS,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        host, port = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Answer from now on."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    async def stop(self) -> None:
        """Answer nothing more; what is being answered may take a second."""
        self._server.end()
        if self._serving is not None:
            await asyncio.wait({self._serving})
            if not self._serving.cancelled() and (error := self._serving.exception()):
                log.error(
                    "the web server failed", error=type(error).__name__, message=text_of(error)
                )
        self.close()

    def close(self) -> None:
        """Give the port back; before `start` this alone is the end."""
        self._socket.close()


class _Server(uvicorn.Server):
    """Leaves the signals to the service: they mean more than the end of its web server.

    It waits for requests and for its end, where uvicorn looks ten times a second whether to end.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Let `serve` close what is open, and return."""
        self.should_exit = True
        self._ended.set()

    async def main_loop(self) -> None:
        await self._ended.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bind(host: str, port: int, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle off only for a socket that says it is TCP; with it answers wait 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # of Linux; connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _READ_SECONDS * 1000)
    try:
        listener.bind((host, port))
        listener.listen()  # two processes may bind one port, only one may listen on it
    except OSError as error:
        listener.close()
        variable = f"JETMESH__{setting.upper().replace('.', '__')}"
        raise SettingsError(
            f"{host}:{port} cannot be listened on: {error.strerror}.",
            remedy=f"Set {setting} ({variable}) to a free port, or 0 for any.",
        ) from error
    return listener
