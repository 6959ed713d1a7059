"""The customer dashboard: find an order by its id, and follow its story live."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from jetmesh import Service
from jetmesh.web import Live, Pages, Rendered
from shop.customer_story import EVENTS, Stories
from shop.customer_telling import tell
from shop.web import FOLDER

service = Service(
    "customer-dashboard",
    version="1.0.0",
    description="An order's story, step by step and live.",
)
service.read_model(Stories, events=EVENTS)


@service.web
def pages(stories: Stories) -> list[BaseRoute]:
    """A search, an order's page, events for it, and its story as JSON for scripts."""
    frame = Pages(FOLDER)

    def told(key: str) -> bytes:
        return msgspec.json.encode(tell(key, stories.story(key)))

    def page(key: str) -> Response:
        status = 200 if stories.knows(key) else 404
        values = {"key": key, "live": f"/live/orders?id={quote(key, safe='')}"}
        return frame.show("customer_order.html", values, status=status)

    async def start(_request: Request) -> Response:
        return frame.show("customer.html")

    async def find(request: Request) -> Response:
        asked = request.query_params.get("id", "")
        key = _meant(asked, stories)
        if not key:
            return RedirectResponse("/", 303)
        # A browser takes these two for steps in the path, however they are written.
        return page(key) if key in (".", "..") else RedirectResponse(address(key), 303)

    async def show(request: Request) -> Response:
        return page(request.path_params["key"])

    async def read(request: Request) -> Response:
        key = request.path_params["key"]
        status = 200 if stories.knows(key) else 404
        headers = {"cache-control": "no-store"}
        return Response(told(key), status, headers, "application/json")

    async def follow(request: Request) -> Live | Response:
        key = request.query_params.get("id")
        if not key:
            return PlainTextResponse("Say which order: /live/orders?id=…\n", 400)
        return Live(Rendered(lambda: stories.packed(key), lambda: told(key)))

    return [
        Route("/", start),
        Route("/orders", find),
        Route("/orders/{key:path}", show),
        Route("/api/orders/{key:path}", read),
        Route("/live/orders", follow),
        frame.static,
    ]


def address(key: str) -> str:
    """The path of an order's page, whatever its id is made of."""
    return f"/orders/{quote(key, safe='')}"


def _meant(asked: str, stories: Stories) -> str:
    """What was asked for; without the space around it that copying adds, unless it belongs."""
    return asked if stories.knows(asked) else asked.strip() or asked
