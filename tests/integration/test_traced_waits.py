"""Traces of what waits for a quarantine, and of what came second for its key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Delivery, Duration, Policy, Service, event
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.message.quarantine import Quarantine
from jetmesh.testing import eventually, mesh
from tests.integration.test_losing import Auction
from tests.otlp import Receiver, receiver


@pytest.fixture
def otlp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        yield found


async def test_what_waits_for_a_quarantine_says_so(
    broker: Broker, unique: str, otlp: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    @event(f"{unique}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    service, goes_on, alone = Service(f"{unique}-service"), asyncio.Event(), asyncio.Event()

    @service.on(Placed, policy=Policy(backoff=Duration(0.02)))
    async def look(placed: Placed, delivery: Delivery) -> None:
        if placed.order_id == "suspect" and delivery.attempt == 1:
            raise RuntimeError("once")
        if placed.order_id == "suspect":
            alone.set()
            await goes_on.wait()

    def takes(_: Quarantine, delivered: Any) -> bool:
        return bool(delivered.key == "suspect")

    monkeypatch.setattr(Quarantine, "takes", takes)
    async with mesh(service, url=broker.url) as m:
        await m.publish(Placed("suspect"))
        async with asyncio.timeout(10):
            await alone.wait()
        await m.publish(Placed("other"))
        [consumer] = m.running[service.name].consumers
        await eventually(lambda: len(consumer.in_flight) == 2)
        goes_on.set()
        await m.settled()
    waits = otlp.named(f"wait quarantine {unique}-in.placed")
    assert {span.attributes["jetmesh.key"] for span in waits} == {"suspect", "other"}
    assert all(span.attributes["jetmesh.wait"] == "quarantine" for span in waits)
    assert all(span.end > span.start for span in waits)
    [parked] = [span for span in waits if span.attributes["jetmesh.key"] == "other"]
    [queued] = [span for span in otlp.of(parked.trace_id) if span.name.startswith("wait queue")]
    assert queued.end == parked.start


@pytest.mark.parametrize("first", ["bid", "called off"])
async def test_the_verdict_on_what_came_second_links_to_the_first_outcome(
    broker: Broker, unique: str, otlp: Receiver, first: str
) -> None:
    auction = Auction(unique)
    pair = [auction.bid("lot-1"), auction.called_off("lot-1")]
    async with mesh(auction.service, url=broker.url) as m:
        for each in pair if first == "bid" else reversed(pair):
            await m.publish(each)
            await m.settled()
    won, lost = ("bid", "called-off") if first == "bid" else ("called-off", "bid")
    kind = "sold" if first == "bid" else "kept"
    sends = otlp.named(f"send {unique}.verdict.{kind}")
    [winner] = otlp.named(f"ack {unique}-in.{won}")
    [loser] = otlp.named(f"ack {unique}-in.{lost}")
    assert (winner.links, loser.links) == ([], [sends[0].span_id])
    assert sends[0].trace_id == winner.trace_id != loser.trace_id
    [process] = otlp.named(f"process {unique}-in.{lost}")
    assert loser.parent == process.span_id


async def test_a_refused_second_outcome_links_to_the_first(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    @event(f"{unique}-in.asked", key="order_id")
    class Asked(Struct, frozen=True):
        order_id: str

    @event(f"{unique}.answered", key="order_id", decision=f"{unique}.*")
    class Answered(Struct, frozen=True):
        order_id: str

    service = Service(f"{unique}-service")

    @service.on(Asked)
    def answer(asked: Asked) -> Answered:
        return Answered(asked.order_id)

    async with mesh(service, url=broker.url) as m:
        for _ in range(2):
            await m.publish(f"{unique}-in.asked", '{"order_id": "p-1"}')
            await m.settled()
    first, second = sorted(otlp.named(f"ack {unique}-in.asked"), key=lambda span: span.start)
    [sent, refused] = sorted(otlp.named(f"send {unique}.answered"), key=lambda span: span.start)
    assert refused.failed
    assert (first.links, second.links) == ([], [sent.span_id])
