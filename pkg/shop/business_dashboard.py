"""The business dashboard: revenue, outcomes and their reasons, over time and live."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from jetmesh import Service
from jetmesh.web import SHORTEST_TOKEN, Live, Login, Pages, Rendered
from shop.business_board import EVENTS, Board
from shop.order_links import LinkSettings
from shop.web import FOLDER


class BusinessDashboardSettings(
    LinkSettings, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What the business dashboard can be told."""

    access_token: Annotated[
        str,
        Meta(
            description="Who knows it may see the page; 16 characters or more.",
            extra={"sensitive": True},
        ),
    ] = ""
    identity_header: Annotated[
        str,
        Meta(
            description="The header in which a proxy that is trusted (http.trusted_proxies) names "
            "who logged in there, such as X-Forwarded-Email; empty: none.",
        ),
    ] = ""
    contracts_url: Annotated[
        str,
        Meta(
            description="Where the pages of the contracts are, which `jetmesh contracts` writes; "
            "empty: no link to them.",
        ),
    ] = ""
    open: Annotated[bool, Meta(description="Everybody may see the page.")] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < len(self.access_token) < SHORTEST_TOKEN:
            raise ValueError(f"access_token has {SHORTEST_TOKEN} characters or more")


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
    login = Login(
        frame,
        token=settings.access_token,
        identity_header=settings.identity_header,
        is_open=settings.open,
    )

    async def live(_request: Request) -> Live:
        return Live(state)

    async def show(_request: Request) -> Response:
        shown = {"orders": settings.customer_dashboard_url, "contracts": settings.contracts_url}
        return frame.show("business.html", shown)

    async def order(request: Request) -> Response:
        """Lead to one order: its token stands in no list."""
        place = settings.link(request.query_params.get("id", ""))
        return RedirectResponse(place or "/", 303, {"cache-control": "no-store"})

    async def read(_request: Request) -> Response:
        headers = {"cache-control": "no-store"}
        return Response(state(), headers=headers, media_type="application/json")

    return login.guarded(
        [
            Route("/", show),
            Route("/orders", order),
            Route("/api/board", read),
            Route("/live/board", live),
        ]
    )
