"""A service with a page, a page that publishes and a page of events, as a process of its own."""

from __future__ import annotations

import asyncio
import os

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from jetmesh import Publisher, Service, event, run
from jetmesh.web import Live

DOMAIN = os.environ["CHILD_DOMAIN"]


@event(f"{DOMAIN}.asked", key="number")
class Asked(Struct, frozen=True):
    number: str


service = Service(f"{DOMAIN}-pages")
service.publishes(Asked)


@service.web
def pages(publisher: Publisher) -> list[Route]:
    async def show(_: Request) -> Response:
        await asyncio.sleep(0.01)
        return PlainTextResponse("shown")

    async def ask(request: Request) -> Response:
        await publisher.publish(Asked(request.query_params["number"]))
        return PlainTextResponse("asked")

    return [
        Route("/", show),
        Route("/ask", ask, methods=["POST"]),
        Route("/events", Live(lambda: b"{}")),
    ]


if __name__ == "__main__":
    run(service)
