"""A browser, and the pages of a service on a loopback port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, cast

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from tests.programs import program
from tests.waiting import wait_until

_arguments = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MILLISECONDS = 20_000
"""In which a page on a busy machine shows what it is to show."""
expect.set_options(timeout=MILLISECONDS)
FONTS = {
    "of the page": "",
    "monospace": "font-family: monospace !important",
    "serif": "font-family: serif !important",
    "a sixth wider": "letter-spacing: .08em !important; word-spacing: .1em !important",
}
"""What fonts a machine has is not known, and no page may depend on it."""


class Site:
    """Routes, served from a thread with an event loop of its own."""

    def __init__(self, routes: list[BaseRoute], port: int = 0) -> None:
        self._app = Starlette(routes=routes)
        config = uvicorn.Config(
            self._serve, host="127.0.0.1", port=port, log_level="error", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),), daemon=True)
        self._thread.start()
        self._loop, self._stopping = self._ready.result(10)

    @property
    def port(self) -> int:
        return cast("int", self._server.servers[0].sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call `function` where the pages run, as the mesh does."""
        done: Future[Any] = Future()
        self._loop.call_soon_threadsafe(lambda: done.set_result(function(*arguments)))
        done.result(10)

    def wait_until_idle(self) -> None:
        """Wait until no request, and so no stream, is being answered."""
        tasks = self._server.server_state.tasks
        wait_until(lambda: not tasks, what=lambda: f"{len(tasks)} streams outlive their page")

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive(), "open streams kept the server from stopping"

    async def _run(self) -> None:
        self._stopping = asyncio.Event()
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
            await asyncio.sleep(0.01)
        self._ready.set_result((asyncio.get_running_loop(), self._stopping))
        await serving

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell what still streams that the server stops, as the mesh does."""

        async def until_stopped() -> Message:
            asked = asyncio.ensure_future(receive())
            stopping = asyncio.ensure_future(self._stopping.wait())
            try:
                await asyncio.wait({asked, stopping}, return_when=asyncio.FIRST_COMPLETED)
                return asked.result() if asked.done() else {"type": "http.disconnect"}
            finally:
                asked.cancel()
                stopping.cancel()

        await self._app(scope, receive if scope["type"] != "http" else until_stopped, send)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser per module: while it is open, no other event loop runs in this thread."""
    chromium = program("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=_arguments)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails its test when anything on it does."""
    context = browser.new_context(locale="en-GB", timezone_id="UTC")
    page = context.new_page()
    page.set_default_timeout(MILLISECONDS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(f"a script ran: {dialog.message}"))
    yield page
    context.close()
    assert errors == []


@pytest.fixture(params=[*FONTS.values()], ids=[*FONTS])
def phone(page: Page, request: pytest.FixtureRequest) -> Page:
    """A page in one of `FONTS`, as narrow as WCAG wants it to be read without scrolling."""

    def serve(route: Route) -> None:
        style = route.fetch()
        route.fulfill(response=style, body=f"{style.text()}\n* {{ {request.param} }}")

    page.route("**/static/shop.css", serve)
    page.set_viewport_size({"width": 320, "height": 640})
    return page


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than its window."""
    pixels: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return pixels


@pytest.fixture
def site() -> Iterator[Callable[..., Site]]:
    """Serve routes; every site is stopped at the end of its test."""
    sites: list[Site] = []

    def serve(routes: list[BaseRoute], port: int = 0) -> Site:
        sites.append(Site(routes, port))
        return sites[-1]

    yield serve
    for one in sites:
        one.stop()
