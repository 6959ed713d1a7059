"""What the server writes itself where messages went away: nobody takes it for an event."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from msgspec import Struct

from jetmesh import Record, Service, derive, event
from jetmesh.operate.deadletters.letter import Selector
from jetmesh.operate.deadletters.store import select
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.testing import Mesh, eventually, mesh


class Declared:
    """A handler, a read model that forgets, and one that keeps."""

    def __init__(self, domain: str) -> None:
        @event(f"{domain}.placed", key="id")
        class Placed(Struct, frozen=True):
            id: str

        class Board:
            def __init__(self) -> None:
                self.keys: list[str] = []
                self.forgotten: list[tuple[str, str]] = []

            def apply(self, event: Placed, _: Record) -> None:
                self.keys.append(event.id)

            def forget(self, key: str, record: Record) -> None:
                self.forgotten.append((key, record.subject))

        class Ledger:
            def __init__(self) -> None:
                self.keys: list[str] = []

            def apply(self, event: Placed, _: Record) -> None:
                self.keys.append(event.id)

        self.ran: list[str] = []
        self.service = Service(f"{domain}-service")
        self.service.read_model(Board, events=[Placed])
        self.service.read_model(Ledger, events=[Placed])

        @self.service.on(Placed)
        def take(placed: Placed) -> None:
            self.ran.append(placed.id)

        self.stream, self.subject = domain.upper(), f"{domain}.placed"
        self.placed, self.board, self.ledger = Placed, Board, Ledger


@asynccontextmanager
async def marked(broker: Broker, domain: str) -> AsyncIterator[tuple[Mesh, Declared, Consumer]]:
    """A mesh on a stream in which the server marks what goes away, for two seconds."""
    d = Declared(domain)
    async with mesh(d.service, url=broker.url) as m:
        config = (await m.control.api(f"STREAM.INFO.{d.stream}"))["config"]
        more = {"allow_msg_ttl": True, "subject_delete_marker_ttl": 2_000_000_000}
        await m.control.api(f"STREAM.UPDATE.{d.stream}", config | more)
        yield m, d, m.running[d.service.name].consumers[0]


async def mark(m: Mesh, d: Declared, token: str, reason: str) -> None:
    """Mark what a client removed, as nats-server's own clients do."""
    await m.control.publish(f"{d.subject}.{token}", b"", {"Nats-Marker-Reason": reason})


async def test_markers_are_acked_and_counted_and_read_models_are_told(
    broker: Broker, unique: str
) -> None:
    async with marked(broker, unique) as (m, d, consumer):
        aging = f"{d.subject}.p%2E1"  # a dot is escaped in a subject
        await m.control.publish(aging, b'{"id":"p.1"}', {"Nats-TTL": "1s"})
        injector = m.running[d.service.name].injector
        board, ledger = injector[d.board], injector[d.ledger]
        await eventually(lambda: board.forgotten == [("p.1", aging)], what="the server's marker")
        await mark(m, d, "p-2", "Purge")
        await mark(m, d, "p-3", "Remove")
        await m.settled()
        await eventually(lambda: len(board.forgotten) == 3, what="every key forgotten")
        assert (consumer.stats.markers, consumer.stats.acked) == (3, 4)
        assert (consumer.stats.failed, consumer.stats.dead, d.ran) == (0, 0, ["p.1"])
        assert ledger.keys == board.keys == ["p.1"]
        assert {p.skipped for p in m.running[d.service.name].projections} == {0}
        assert await m.stored("DEADLETTERS", f"deadletters.{d.service.name}.>") == []
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"{m.running[d.service.name].http.url}/metrics")).text
        labels = f'service="{d.service.name}"'
        assert f'jetmesh_markers_total{{handler="take",{labels}}} 3.0' in text
        assert f'jetmesh_forgotten_total{{{labels},stream="{d.stream}"}} 6.0' in text


async def test_a_marker_alone_on_the_bare_subject_names_no_key(broker: Broker, unique: str) -> None:
    async with marked(broker, unique) as (m, d, _):
        await m.control.publish(d.subject, b"", {"Nats-Marker-Reason": "Purge"})
        board = m.running[d.service.name].injector[d.board]
        await eventually(lambda: board.forgotten == [("", d.subject)], what="the marker")


async def test_a_trace_says_what_went_away(broker: Broker, unique: str) -> None:
    async with marked(broker, unique) as (m, d, _):
        await mark(m, d, unique, "MaxAge")  # letters of other tests have other keys
        await m.settled()
        (step,) = await trace(m.control, derive([d.service]), unique)
        assert (step.kind, step.subject, step.waits) == ("removal", d.subject, ())
        assert step.summary == "the server removed what was stored here (MaxAge)"


async def test_markers_of_letters_are_no_letters(own_broker: Broker, unique: str) -> None:
    async with marked(own_broker, unique) as (m, d, _):
        await m.publish(d.placed("p-1"))
        for stream in ("DEADLETTERS", "REFUSALS"):
            subject = f"{stream.lower()}.{d.service.name}.take.p-1"
            await m.control.publish(subject, b"", {"Nats-Marker-Reason": "MaxAge"})
        await m.settled()
        assert not await select(m.control, Selector(), every=True)
        kinds = [step.kind for step in await trace(m.control, derive([d.service]), "p-1")]
        assert sorted(kinds) == ["event", "removal", "removal"]
