"""Pages read stored events again: by where they are, and by their key."""

from __future__ import annotations

from typing import Any

import httpx
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from jetmesh import History, Record, Service, event
from jetmesh.declare import permissions_of
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually, mesh


class Declared:
    """A read model that holds two orders, and a page that shows what is held or recalled."""

    def __init__(self, domain: str) -> None:
        @event(f"{domain}.placed", key="order_id")
        class Placed(Struct, frozen=True):
            order_id: str
            note: str = ""

        class Board:
            def __init__(self) -> None:
                self.places: dict[str, int] = {}

            def apply(self, event: Placed, record: Record) -> None:
                self.places[event.order_id] = record.sequence

            def drop(self, key: str) -> None:
                del self.places[key]

        self.placed = Placed
        self.service = Service(f"{domain}-board")
        self.service.read_model(Board, events=[Placed], most_keys=2)

        @self.service.web
        def pages(board: Board, history: History) -> list[Route]:
            async def show(request: Request) -> JSONResponse:
                key = request.path_params["key"]
                if key in board.places:
                    found = await history.at(domain.upper(), board.places[key])
                else:
                    found = await history.first(Placed, key)
                answer: dict[str, Any] = {"held": sorted(board.places)}
                if found is not None:
                    answer |= {"note": getattr(found[0], "note", ""), "at": found[1].sequence}
                return JSONResponse(answer)

            return [Route("/orders/{key}", show)]


async def test_a_bounded_read_model_and_its_pages_show_everything(
    broker: Broker, unique: str
) -> None:
    """It holds two of four orders; the others are found by their keys."""
    d = Declared(unique)
    async with (
        mesh(d.service, url=broker.url) as m,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        for number in range(1, 5):
            await m.publish(d.placed(f"p-{number}", f"note {number}"))

        async def answer(key: str) -> dict[str, Any]:
            url = f"{m.running[d.service.name].http.url}/orders/{key}"
            found: dict[str, Any] = (await client.get(url)).json()
            return found

        async def all_read() -> bool:
            return bool((await answer("p-0"))["held"] == ["p-3", "p-4"])

        await eventually(all_read, what="the last order")
        for number in range(1, 5):
            found = await answer(f"p-{number}")
            assert (found["note"], found["at"]) == (f"note {number}", number)
    needed = permissions_of(d.service, inbox_prefix="_INBOX").publish
    assert f"$JS.API.STREAM.MSG.GET.{unique.upper()}" in needed
