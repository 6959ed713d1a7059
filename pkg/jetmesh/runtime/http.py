"""The HTTP side of a process: /healthz, /readyz, /metrics and the service's own pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from jetmesh.runtime.connections import affordable
from jetmesh.runtime.health import Health
from jetmesh.runtime.listener import Listener
from jetmesh.runtime.visitors import Visitors, with_headers
from jetmesh.settings import HttpSettings

_HEALTH_CONNECTIONS: Final = 64

Metrics: TypeAlias = Callable[[str], tuple[bytes, str]]
"""What Accept asks for, to the text and its media type."""


class HttpServer:
    """Serves from the first moment on: a service that waits for its broker says so here.

    Pages have a port for themselves, which may be published. What operators ask answers on another
    one, and so also while the pages are flooded.
    """

    def __init__(self, settings: HttpSettings, health: Health, *, pages: bool = False) -> None:
        self._health = health
        self._metrics: Metrics = lambda _: (b"", "text/plain")
        self._operators = Starlette(
            routes=[
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._serve_metrics),
            ]
        )
        self._pages = Starlette()
        most = affordable(settings.connections)
        self._visitors = Visitors(self._pages, settings, most_streams=max(1, most // 2))
        self._stopping = asyncio.Event()
        self._leaving = False
        self._listeners = [
            Listener(
                self._answer_operators,
                settings.host,
                settings.health_port if pages else settings.port,
                setting="http.health_port" if pages else "http.port",
                most=affordable(_HEALTH_CONNECTIONS),
            )
        ]
        if pages:
            try:
                self._listeners.append(
                    Listener(
                        self._answer,
                        settings.host,
                        settings.port,
                        setting="http.port",
                        most=most,
                    )
                )
            except BaseException:
                self._listeners[0].close()
                raise

    @property
    def url(self) -> str:
        """Of the pages, or of what operators ask where there are none."""
        return self._listeners[-1].url

    @property
    def health_url(self) -> str:
        """Where /healthz, /readyz and /metrics are."""
        return self._listeners[0].url

    def start(self) -> None:
        """Answer from now on."""
        for listener in self._listeners:
            listener.start()

    def show(self, routes: Sequence[BaseRoute], metrics: Metrics) -> None:
        """Add the service's pages and metrics once what they show exists."""
        self._pages.router.routes.extend(routes)
        self._metrics = metrics

    def leave(self) -> None:
        """Answer on, and have whoever asks on the same connection again connect elsewhere."""
        self._leaving = True

    async def stop(self) -> None:
        """Answer nothing more; open streams learn that it is over."""
        self._stopping.set()
        await asyncio.gather(*(listener.stop() for listener in self._listeners))

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

        await self._visitors(scope, until_stopped, self._parting(send))

    def _parting(self, send: Send) -> Send:
        async def with_farewell(message: Message) -> None:
            if self._leaving and message["type"] == "http.response.start":
                farewell = (b"connection", b"close")
                message = {**message, "headers": [*message.get("headers", ()), farewell]}
            await send(message)

        return with_farewell

    async def _answer_operators(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._operators(scope, receive, with_headers(send))

    async def _healthz(self, _: Request) -> Response:
        return PlainTextResponse("live\n")

    async def _readyz(self, _: Request) -> Response:
        problems = self._health.problems()
        text = "\n".join([*(problems or ["ready"]), *self._health.notes()])
        return PlainTextResponse(f"{text}\n", status_code=503 if problems else 200)

    async def _serve_metrics(self, request: Request) -> Response:
        text, media_type = self._metrics(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": media_type})
