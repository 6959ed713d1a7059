"""One trace from a message of anybody to its last effect, as an OTLP receiver gets it."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed
from rich.console import Console

from jetmesh import Delivery, Policy, Publisher, Reject, Service, Unavailable, event
from jetmesh.cli.tree import tree_of
from jetmesh.declare import Duration
from jetmesh.operate.trace import Step
from jetmesh.operate.trace import trace as steps_of
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import Mesh, mesh
from tests.integration.one_handler import topology_of
from tests.otlp import Receiver, receiver

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest.fixture
def otlp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        yield found


class Shop:
    """A handler that decides, and one with an effect that fails as it is told."""

    def __init__(self, domain: str, *failures: Exception, **policy: Any) -> None:
        @event(f"{domain}-in.placed", key="order_id")
        class Placed(Struct, frozen=True):
            order_id: str

        @event(f"{domain}.accepted", key="order_id", decision=f"{domain}.*")
        class Accepted(Struct, frozen=True):
            order_id: str

        @event(f"{domain}-out.mailed", key="order_id", decision=f"{domain}-out.*")
        class Mailed(Struct, frozen=True):
            order_id: str

        self.placed, self.mailed = Placed, Mailed
        self.deciding, self.mailing = Service(f"{domain}-deciding"), Service(f"{domain}-mailing")
        self.tries: Counter[str] = Counter()
        self.slow = 0
        """So many attempts take too long."""
        left = list(failures)
        policy = {"attempts": 4, "backoff": Duration(0.02), **policy}

        @self.deciding.on(Placed)
        def decide(placed: Placed) -> Accepted:
            return Accepted(placed.order_id)

        @self.mailing.on(Accepted, policy=Policy(**policy))
        async def mail(accepted: Accepted, delivery: Delivery) -> Mailed:
            self.tries[accepted.order_id] += 1
            trace.get_current_span().set_attribute("shop.attempt", delivery.attempt)
            if self.tries.total() <= self.slow:
                await asyncio.sleep(30)
            if left:
                raise left.pop(0)
            return Mailed(accepted.order_id)

    async def mail_of(self, broker: Broker, headers: dict[str, str] | None = None) -> None:
        async with mesh(self.deciding, self.mailing, url=broker.url) as m:
            domain = self.deciding.name.removesuffix("-deciding")
            await m.publish(f"{domain}-in.placed", '{"order_id": "p-1"}', headers)
            await m.expect(self.mailed, "p-1")
            await m.settled()


def the_trace(otlp: Receiver) -> str:
    [found] = {span.trace_id for span in otlp.spans}
    return found


async def test_a_message_without_a_trace_is_one_trace_with_all_its_attempts(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    shop = Shop(unique, RuntimeError("a@b.example failed"), RuntimeError("again"))
    await shop.mail_of(broker)
    names = [span.name.removesuffix(f" {unique}.accepted") for span in otlp.of(the_trace(otlp))]
    told = Counter(name for name in names if unique not in name)
    waits = {"wait queue": 1, "wait retry": 2}
    assert told == {"send": 1, "process": 3, "nak": 1, "ack": 2, **waits}
    assert {f"send {unique}.accepted", f"send {unique}-out.mailed"} <= {s.name for s in otlp.spans}
    assert {span.service for span in otlp.spans} == {shop.deciding.name, shop.mailing.name}
    attempts = otlp.named(f"process {unique}.accepted")
    assert [span.attributes["jetmesh.attempt"] for span in attempts] == [1, 2, 3]
    assert [span.attributes["shop.attempt"] for span in attempts] == [1, 2, 3]
    assert [span.failed for span in attempts] == [True, True, False]
    assert attempts[0].attributes["error.type"] == "RuntimeError"
    assert attempts[0].events == ["exception"]


async def test_spans_keep_the_messaging_conventions(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    await Shop(unique).mail_of(broker, {"Nats-Msg-Id": "m-1", "Correlation-Id": "c-1"})
    [process] = otlp.named(f"process {unique}-in.placed")
    assert process.kind == "consumer"
    assert process.schema == "https://opentelemetry.io/schemas/1.44.0"
    assert process.attributes == {
        "messaging.system": "nats",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": f"{unique}-in.placed",
        "messaging.destination.template": f"{unique}-in.placed",
        "messaging.consumer.group.name": f"{unique}-deciding-decide",
        "messaging.message.id": "m-1",
        "messaging.message.conversation_id": "c-1",
        "jetmesh.handler": f"{unique}-deciding.decide",
        "jetmesh.key": "p-1",
        "jetmesh.cause": f"{unique.upper()}_IN:1",
        "jetmesh.attempt": 1,
    }
    [send] = otlp.named(f"send {unique}.accepted")
    assert (send.kind, send.parent) == ("producer", process.span_id)
    assert send.attributes["messaging.operation.type"] == "send"
    assert send.attributes["messaging.destination.name"] == f"{unique}.accepted.p-1"
    assert send.attributes["messaging.destination.template"] == f"{unique}.accepted"
    [ack] = otlp.named(f"ack {unique}-in.placed")
    assert (ack.kind, ack.parent) == ("client", process.span_id)
    assert ack.attributes["messaging.operation.type"] == "settle"
    [next_one] = otlp.named(f"process {unique}.accepted")
    assert next_one.parent == send.span_id


@pytest.mark.parametrize("name", ["traceparent", "Traceparent", "TRACEPARENT"])
async def test_a_trace_that_the_message_brings_goes_on(
    broker: Broker, unique: str, otlp: Receiver, name: str
) -> None:
    await Shop(unique, RuntimeError("once"), RuntimeError("twice")).mail_of(broker, {name: PARENT})
    assert the_trace(otlp) == PARENT.split("-")[1]
    [process] = otlp.named(f"process {unique}-in.placed")
    assert process.parent == PARENT.split("-")[2]


async def test_a_client_of_the_handler_joins_its_attempt(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200)

    @event(f"{unique}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    service = Service(f"{unique}-service")

    @service.on(Placed)
    async def ask(_: Placed) -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            HTTPXClientInstrumentor.instrument_client(client)
            await client.get("http://gateway.example/")

    async with mesh(service, url=broker.url) as m:
        await m.publish(Placed("p-1"))
        await m.settled()
    [process] = otlp.named(f"process {unique}-in.placed")
    [request] = asked
    assert request.headers["traceparent"].split("-")[1] == process.trace_id


async def test_a_publisher_of_another_program_begins_the_trace(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    shop = Shop(unique)
    async with mesh(shop.deciding, url=broker.url) as m:
        async with Publisher(shop.placed, nats=NatsSettings(url=broker.url), name="web") as web:
            await web.publish(shop.placed("p-1"))
        await m.settled()
    [send] = otlp.named(f"send {unique}-in.placed")
    assert (send.service, send.parent) == ("web", "")
    [process] = otlp.named(f"process {unique}-in.placed")
    assert (process.trace_id, process.parent) == (send.trace_id, send.span_id)


async def test_histograms_name_a_trace_as_their_example(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    shop = Shop(unique)
    async with mesh(shop.deciding, url=broker.url) as m:
        await m.publish(shop.placed("p-1"))
        await m.settled()
        asked = {"accept": "application/openmetrics-text; version=1.0.0"}
        async with httpx.AsyncClient() as client:
            url = f"{m.running[shop.deciding.name].http.url}/metrics"
            plain, open_metrics = await client.get(url), await client.get(url, headers=asked)
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {f.name: f for f in parsed(open_metrics.text)}  # type: ignore[no-untyped-call] # the library leaves it untyped
    exemplars = [s.exemplar for s in families["jetmesh_handling_seconds"].samples if s.exemplar]
    [process] = otlp.named(f"process {unique}-in.placed")
    ids = {"trace_id": the_trace(otlp), "span_id": process.span_id}
    assert [each.labels for each in exemplars] == [ids]


async def test_what_the_sender_does_not_sample_nobody_samples(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    await Shop(unique, RuntimeError("once")).mail_of(broker, {"traceparent": UNSAMPLED})
    assert otlp.spans == []


async def test_the_first_event_decides_whether_its_trace_is_sampled(
    broker: Broker, unique: str, otlp: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    shop = Shop(unique, RuntimeError("once"))
    async with mesh(shop.deciding, shop.mailing, url=broker.url) as m:
        for n in range(40):
            await m.publish(f"{unique}-in.placed", f'{{"order_id": "p-{n}"}}')
        await m.expect(shop.mailed, "p-39")
        await m.settled()
    by_trace: dict[str, set[str]] = {}
    for span in otlp.spans:
        by_trace.setdefault(span.trace_id, set()).add(span.name)
    assert 5 < len(by_trace) < 35
    whole = {f"process {unique}-in.placed", f"process {unique}.accepted"}
    assert all(whole <= names for names in by_trace.values())


async def test_an_outage_is_a_wait_of_its_own(broker: Broker, unique: str, otlp: Receiver) -> None:
    await Shop(unique, Unavailable("away"), Unavailable("still away")).mail_of(broker)
    waits = otlp.named(f"wait outage {unique}.accepted")
    assert len(waits) == 2
    assert all(span.attributes["jetmesh.wait"] == "outage" for span in waits)
    assert all(span.end > span.start for span in waits)
    assert len({span.trace_id for span in otlp.spans}) == 1


def _shown(steps: list[Step]) -> str:
    screen = Console(width=200, file=io.StringIO())
    screen.print(tree_of("p-1", steps))
    return str(screen.file.getvalue())  # type: ignore[attr-defined] # it is a StringIO


async def test_an_attempt_that_takes_too_long_is_told_as_that(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    shop = Shop(unique, attempts=2, timeout=Duration(0.05), ack_wait=Duration(1))
    shop.slow = 1
    await shop.mail_of(broker)
    attempts = otlp.named(f"process {unique}.accepted")
    assert [span.attributes.get("error.type") for span in attempts] == ["TimeoutError", None]


async def letters_of(m: Mesh, shop: Shop) -> list[Any]:
    return await m.stored("DEADLETTERS", f"deadletters.{shop.mailing.name}.>")


async def test_a_dead_letter_carries_the_trace_and_its_error_is_masked(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    key = f"p-{unique}"  # other tests of this broker have dead letters of p-1
    shop = Shop(unique, Reject("not for ann@shop.example"))
    async with mesh(shop.deciding, shop.mailing, url=broker.url) as m:
        await m.publish(shop.placed(key))
        await m.settled()
        [letter] = await letters_of(m, shop)
        steps = await steps_of(m.control, topology_of(m), key)
    [process] = otlp.named(f"process {unique}.accepted")
    assert process.failed
    assert letter.headers["traceparent"].split("-")[1] == process.trace_id
    assert [step.trace for step in steps] == ["", process.trace_id, process.trace_id]
    assert process.trace_id in _shown(steps)
    assert otlp.named(f"term {unique}.accepted")
    assert not any("ann@" in str(span.attributes) for span in otlp.spans)


async def test_what_cannot_be_read_is_an_attempt_in_the_trace(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    shop = Shop(unique)
    async with mesh(shop.deciding, url=broker.url) as m:
        await m.publish(f"{unique}-in.placed", "no json")
        await m.settled()
    [process] = otlp.named(f"process {unique}-in.placed")
    assert process.failed
    assert otlp.named(f"send deadletters.{shop.deciding.name}.decide")


@pytest.mark.parametrize("variables", [{}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_nothing_is_imported_while_nobody_asks(variables: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import sys, jetmesh, jetmesh.runtime.running; from jetmesh.runtime.tracing.asked import *;"
        "assert parts_for('a', '1', []) is UNTRACED;"
        "print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    clean = {"PYTHONPATH": ":".join(sys.path), **variables}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, cwd=tmp_path, capture_output=True, check=False
    )
    assert done.stdout.decode() == "[]\n", done.stderr.decode()
