"""A handler that remembers, traced: its runs, its steps, what follows, and races that it lost."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.testing import mesh
from tests.integration.test_states import Shop
from tests.otlp import Received, Receiver, receiver


@pytest.fixture
def otlp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        yield found


@pytest.fixture
def shop(unique: str) -> Shop:
    return Shop(unique)


def of(otlp: Receiver, name: str) -> list[Received]:
    return [span for span in otlp.spans if span.name.startswith(name)]


async def test_a_run_its_step_and_what_follows_are_one_trace(
    broker: Broker, shop: Shop, otlp: Receiver
) -> None:
    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(shop.captured("p-1", "c-1", 10))
        await m.expect(shop.reached, "c-1")
        await m.settled()
    assert len({span.trace_id for span in otlp.spans}) == 1
    [process] = of(otlp, "process")
    assert not process.failed
    below = {span.name for span in otlp.spans if span.parent == process.span_id}
    domain = shop.domain
    assert below == {
        f"send states.{domain}.accounts",
        f"send {domain}-tiers.reached",
        f"ack {domain}-in.captured",
    }
    assert "jetmesh.races_lost" not in process.attributes


async def test_a_step_links_to_each_input_that_it_takes_in_and_an_output_stays_with_its_own(
    broker: Broker, shop: Shop, otlp: Receiver
) -> None:
    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(shop.captured("p-0", "c-0"))  # it runs, and reads what c-1 has
        for number in range(30):
            await m.publish(shop.captured(f"p-{number}", "c-1"))
        await shop.knows(m, "c-1", 30)
        await m.settled()
    runs = {span.span_id: span for span in of(otlp, "process")}
    steps = of(otlp, "send states")
    taken = [span for step in steps for span in (step.parent, *step.links)]
    assert sorted(taken) == sorted(runs), "each run is in one step"
    told = of(otlp, f"send {shop.domain}-tiers")
    assert len(told) == 3
    assert len({span.parent for span in told}) == 3
    for span in told:
        assert runs[span.parent].trace_id == span.trace_id


async def test_a_lost_race_is_told_by_the_step_and_by_the_next_run_and_is_no_failure(
    broker: Broker, shop: Shop, otlp: Receiver
) -> None:
    subject = f"states.{shop.domain}.accounts.c-1"
    quicker = [b'{"customer_id":"c-1","points":4}']

    def lose(_: Any) -> None:
        if quicker:
            publish(broker.url, subject, quicker.pop())

    shop.award(lose)
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(shop.captured("p-1", "c-1"))
        await shop.knows(m, "c-1", 5)
        await m.settled()
    lost, stored = of(otlp, "send states")
    assert (lost.events, lost.failed) == (["race lost"], False)
    assert (stored.events, stored.failed) == ([], False)
    first, second = of(otlp, "process")
    assert "jetmesh.races_lost" not in first.attributes
    assert second.attributes["jetmesh.races_lost"] == 1
    assert (lost.parent, stored.parent) == (first.span_id, second.span_id)
    assert [span.failed for span in (first, second)] == [False, False]


async def test_a_run_that_fails_is_a_failed_span_and_its_retry_another_of_the_same_trace(
    broker: Broker, shop: Shop, otlp: Receiver
) -> None:
    left = [RuntimeError("not now"), RuntimeError("not yet")]

    def fail(_: Any) -> None:
        if left:
            raise left.pop()

    shop.award(fail)
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(shop.captured("p-1", "c-1"))
        await shop.knows(m, "c-1", 1)
        await m.settled()
    runs = of(otlp, "process")
    assert [span.failed for span in runs] == [True, True, False]
    assert len({span.trace_id for span in runs}) == 1
    assert len(of(otlp, "wait retry")) == 2


def publish(url: str, subject: str, payload: bytes) -> None:
    """Store something before anything else that is sent from now on: it blocks until it is."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        head = f'CONNECT {{"verbose":false}}\r\nPUB {subject} {len(payload)}\r\n'
        connection.sendall(head.encode() + payload + b"\r\nPING\r\n")
        answer = b""
        while b"PONG" not in answer:
            answer += connection.recv(65536)
