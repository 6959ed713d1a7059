"""A service with pages that a hostile customer is let loose on."""

from __future__ import annotations

import os

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from jetmesh import Record, Service, event, run
from jetmesh.web import Live

DOMAIN = os.environ["ATTACKED_DOMAIN"]


@event(f"{DOMAIN}.placed", key="order_id")
class Placed(Struct, frozen=True):
    order_id: str


class Board:
    """Keeps nothing."""

    def apply(self, event: Placed, record: Record) -> None: ...


service = Service(f"{DOMAIN}-pages")
service.read_model(Board, events=[Placed])


@service.web
def pages(board: Board) -> list[Route]:
    async def show(_: Request) -> Response:
        return PlainTextResponse("secret\n")

    async def take(request: Request) -> Response:
        return PlainTextResponse(f"{len(await request.body())}\n")

    async def live(_: Request) -> Live:
        return Live(lambda: b"1")

    return [Route("/", show), Route("/orders", take, methods=["POST"]), Route("/live", live)]


run(service)
