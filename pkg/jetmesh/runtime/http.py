"""The HTTP side of a process: /healthz, /readyz, /metrics and the service's own pages."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from jetmesh.errors import SettingsError
from jetmesh.privacy.mask import text_of
from jetmesh.runtime.health import Health
from jetmesh.settings import HttpSettings

_CLOSE_SECONDS = 1
Metrics: TypeAlias = Callable[[str], tuple[bytes, str]]
"""What Accept asks for, to the text and its media type."""

log = structlog.get_logger()


class HttpServer:
    """Serves from the first moment on: a service that waits for its broker says so here."""

    def __init__(self, settings: HttpSettings, health: Health) -> None:
        self._health = health
        self._socket = _bind(settings)
        self._address = self._socket.getsockname()[:2]
        self._metrics: Metrics = lambda _: (b"", "text/plain")
        self._app = Starlette(
            routes=[
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._serve_metrics),
            ]
        )
        self._server = _Server(
            uvicorn.Config(
                self._answer,
                interface="asgi3",  # uvicorn cannot tell from a bound method
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=_CLOSE_SECONDS,
            )
        )
        self._serving: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._leaving = False

    @property
    def url(self) -> str:
        host, port = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Answer from now on."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    def show(self, routes: Sequence[BaseRoute], metrics: Metrics) -> None:
        """Add the service's pages and metrics once what they show exists."""
        self._app.router.routes.extend(routes)
        self._metrics = metrics

    def leave(self) -> None:
        """Answer on, and have whoever asks on the same connection again connect elsewhere."""
        self._leaving = True

    async def stop(self) -> None:
        """Answer nothing more; open streams learn that it is over."""
        self._stopping.set()
        self._server.should_exit = True
        if self._serving is not None:
            await asyncio.wait({self._serving})
            if not self._serving.cancelled() and (error := self._serving.exception()):
                log.error(
                    "the web server failed", error=type(error).__name__, message=text_of(error)
                )
        self._socket.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell what still streams that the server stops, as if its reader had left."""

        async def until_stopped() -> Message:
            asked = asyncio.ensure_future(receive())
            stopping = asyncio.ensure_future(self._stopping.wait())
            try:
                await asyncio.wait({asked, stopping}, return_when=asyncio.FIRST_COMPLETED)
                return asked.result() if asked.done() else {"type": "http.disconnect"}
            finally:
                asked.cancel()
                stopping.cancel()

        await self._app(scope, until_stopped, self._parting(send))

    def _parting(self, send: Send) -> Send:
        async def with_farewell(message: Message) -> None:
            if self._leaving and message["type"] == "http.response.start":
                farewell = (b"connection", b"close")
                message = {**message, "headers": [*message.get("headers", ()), farewell]}
            await send(message)

        return with_farewell

    async def _healthz(self, _: Request) -> Response:
        return PlainTextResponse("live\n")

    async def _readyz(self, _: Request) -> Response:
        problems = self._health.problems()
        text = "\n".join(problems) or "ready"
        return PlainTextResponse(f"{text}\n", status_code=503 if problems else 200)

    async def _serve_metrics(self, request: Request) -> Response:
        text, media_type = self._metrics(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": media_type})


class _Server(uvicorn.Server):
    """Leaves the signals to the service: they mean more than the end of its web server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bind(settings: HttpSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio turns Nagle off only for a socket that says it is TCP; with it answers wait 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen()  # two processes may bind one port, only one may listen on it
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}.",
            remedy="Set http.port (JETMESH__HTTP__PORT) to a free port, or 0 for any.",
        ) from error
    return listener
