"""The business dashboard: revenue, outcomes and their reasons, over time and live."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from jetmesh import Service
from jetmesh.web import Live, Pages, Rendered
from shop.business_board import EVENTS, Board
from shop.web import FOLDER


class BusinessDashboardSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the business dashboard can be told."""

    customer_dashboard_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s]+)?$",
            description="Where an order's id leads to; empty: ids are not links.",
        ),
    ] = ""


service = Service(
    "business-dashboard",
    version="1.0.0",
    settings=BusinessDashboardSettings,
    description="Revenue, rates of outcomes and their reasons, over time and live.",
)
service.read_model(Board, events=EVENTS)


@service.web
def pages(board: Board, settings: BusinessDashboardSettings) -> list[BaseRoute]:
    """The board as a page, as events for the page, and as JSON for scripts."""
    frame = Pages(FOLDER)
    state = Rendered(lambda: board.version, lambda: msgspec.json.encode(board.snapshot()))
    orders = settings.customer_dashboard_url.rstrip("/")

    async def live(_request: Request) -> Live:
        return Live(state)

    async def show(_request: Request) -> Response:
        return frame.show("business.html", {"orders": orders})

    async def read(_request: Request) -> Response:
        headers = {"cache-control": "no-store"}
        return Response(state(), headers=headers, media_type="application/json")

    return [
        Route("/", show),
        Route("/api/board", read),
        Route("/live/board", live),
        frame.static,
    ]
