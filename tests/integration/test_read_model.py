"""Read models on a real broker: everything since the first event, then live."""

from __future__ import annotations

from typing import Any

import httpx
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from jetmesh import Record, Service, derive, event
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.running import Running
from jetmesh.settings import NatsSettings
from jetmesh.testing import Mesh, _load, eventually, mesh
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan


class Declared:
    """A dashboard of two streams, with names of its own."""

    def __init__(self, domain: str) -> None:
        @event(f"{domain}.placed", key="order_id")
        class Placed(Struct, frozen=True):
            order_id: str
            amount: int = 0

        @event(f"{domain}-log.ticked")
        class Ticked(Struct, frozen=True):
            number: int

        class Board:
            def __init__(self) -> None:
                self.seen: list[tuple[int, str]] = []
                self.ticks = 0

            def apply(self, event: object, record: Record) -> None:
                if isinstance(event, Placed):
                    if event.amount < 0:
                        raise ValueError("no such amount")
                    self.seen.append((record.sequence, event.order_id))
                else:
                    self.ticks += 1

        self.service = Service(f"{domain}-board")
        self.service.read_model(Board, events=[Placed, Ticked])

        @self.service.web
        def pages(board: Board) -> list[Route]:
            async def show(_: Request) -> JSONResponse:
                return JSONResponse([key for _, key in board.seen])

            return [Route("/orders", show)]

        self.domain, self.placed, self.ticked, self.board = domain, Placed, Ticked, Board

    def state(self, m: Mesh) -> Any:
        return m.running[self.service.name].injector[self.board]

    def projections(self, m: Mesh) -> dict[str, Any]:
        return {h.stream: h for h in m.running[self.service.name].projections}


async def stored_before(broker: Broker, declared: Declared, *payloads: str) -> None:
    """What was stored before the dashboard is started for the first time."""
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        await apply(control, await plan(control, derive([declared.service])))
        for payload in payloads:
            await control.publish(f"{declared.domain}.placed", payload.encode())


async def test_history_is_folded_from_the_first_event_and_new_ones_live(
    broker: Broker, unique: str
) -> None:
    d = Declared(unique)
    await stored_before(broker, d, *(f'{{"order_id": "p-{n}"}}' for n in range(300)))
    async with mesh(d.service, url=broker.url) as m:
        board = d.state(m)
        assert board.seen == [(n + 1, f"p-{n}") for n in range(300)]  # ready means caught up
        await m.publish(d.placed("live"))
        await m.publish(d.ticked(1))
        await eventually(lambda: board.seen[-1] == (301, "live"), what="the live event")
        await eventually(lambda: board.ticks == 1, what="the event of the other stream")
        async with httpx.AsyncClient(trust_env=False) as client:
            shown = await client.get(f"{m.running[d.service.name].http.url}/orders")
        assert shown.json()[-1] == "live"


async def test_an_event_that_cannot_be_read_is_skipped_and_counted(
    broker: Broker, unique: str
) -> None:
    d = Declared(unique)
    bad = ["no json", "", "{}", '{"order_id": 3}', "[" * 5000]
    await stored_before(broker, d, '{"order_id": "first"}', *bad, '{"order_id": "last", "new": 1}')
    accepted = {"JETMESH__MAY_SKIP": "3"}
    async with mesh(d.service, url=broker.url, settings=accepted) as m:
        await m.publish(d.placed("refused-by-the-model", -1))
        await m.publish(d.placed("live"))
        board = d.state(m)
        await eventually(lambda: len(board.seen) == 3, what="the live event")
        assert [key for _, key in board.seen] == ["first", "last", "live"]
        history = d.projections(m)[unique.upper()]
        assert (history.folded, history.skipped) == (3, len(bad) + 1)
        async with httpx.AsyncClient(trust_env=False) as client:
            metrics = await client.get(f"{m.running[d.service.name].http.health_url}/metrics")
        labels = f'{{service="{d.service.name}",stream="{unique.upper()}"}}'
        assert f"jetmesh_skipped_total{labels} {len(bad) + 1}.0" in metrics.text


async def test_readiness_is_red_until_history_is_caught_up(broker: Broker, unique: str) -> None:
    d = Declared(unique)
    await stored_before(broker, d, *(f'{{"order_id": "p-{n}"}}' for n in range(3000)))
    reasons: set[str] = set()
    running = Running(d.service, _load([d.service], broker.url, {}))
    folded = d.board.apply

    def fold_and_look(board: Any, event: object, record: Record) -> None:
        folded(board, event, record)
        reasons.update(running.health.problems())

    d.board.apply = fold_and_look  # type: ignore[assignment, method-assign] # looks while history is read
    async with running:
        await running.started
        await eventually(lambda: not running.health.problems(), what="ready")
        assert len(running.injector[d.board].seen) == 3000
    assert any(f"reading the history of {unique.upper()}" in reason for reason in reasons)


async def test_a_lost_reader_goes_on_behind_what_it_has_folded(broker: Broker, unique: str) -> None:
    d = Declared(unique)
    await stored_before(broker, d, '{"order_id": "p-1"}')
    async with mesh(d.service, url=broker.url) as m:
        names = await m.control.api(f"CONSUMER.NAMES.{unique.upper()}")
        for name in names["consumers"]:
            await m.control.api(f"CONSUMER.DELETE.{unique.upper()}.{name}")
        await m.publish(d.placed("p-2"))
        board = d.state(m)
        await eventually(lambda: len(board.seen) == 2, what="the event after the loss")
        assert board.seen == [(1, "p-1"), (2, "p-2")]


async def test_a_history_whose_stream_went_away_says_so_and_comes_back(
    broker: Broker, unique: str
) -> None:
    d = Declared(unique)
    async with mesh(d.service, url=broker.url) as m:
        running = m.running[d.service.name]
        await m.control.api(f"STREAM.DELETE.{unique.upper()}")

        def told() -> bool:
            text = f"the history of {unique.upper()} cannot be read"
            return any(text in problem for problem in running.health.problems())

        await eventually(told, what="not ready")
        await apply(m.control, await plan(m.control, derive([d.service])))
        await eventually(lambda: not running.health.problems(), what="ready again")
        await m.publish(d.placed("p-1"))
        board = d.state(m)
        await eventually(lambda: board.seen == [(1, "p-1")], what="the event of the new stream")
