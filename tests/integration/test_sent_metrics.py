"""The metrics of /metrics over OTLP, as a receiver with the official message types gets them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from msgspec import Struct
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from prometheus_client import CollectorRegistry, Info, Summary
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families as parsed

from jetmesh import Service, event, testing
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.tracing.points import translated
from tests.otlp import Receiver, receiver

CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


@pytest.fixture
def otlp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        yield found


def placed_and_its_service(unique: str) -> tuple[type[Struct], Service]:
    @event(f"{unique}.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    service = Service(f"{unique}-service", version="3")

    @service.on(Placed)
    async def look(_: Placed) -> None:
        pass

    return Placed, service


def attributes(point: object) -> dict[str, str]:
    return {each.key: each.value.string_value for each in point.attributes}  # type: ignore[attr-defined] # made by protobuf


async def test_what_is_sent_has_the_names_and_numbers_of_the_page(
    broker: Broker, unique: str, otlp: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
    placed, service = placed_and_its_service(unique)
    async with testing.mesh(service, url=broker.url) as m:
        for n in range(3):
            await m.publish(placed(f"p-{n}"))
        await m.settled()
        async with httpx.AsyncClient() as client:
            page = await client.get(f"{m.running[service.name].http.url}/metrics")

    def sent(name: str) -> Metric:
        return otlp.metrics[service.name, name]

    shown = {family.name: family for family in parsed(page.text)}
    names = {name for of, name in otlp.metrics if of == service.name}
    ours = [f for name, f in shown.items() if name.startswith("jetmesh_") and f.samples]
    assert {f"{f.name}_total" if f.type == "counter" else f.name for f in ours} <= names

    acked = sent("jetmesh_acked_total").sum
    assert (acked.is_monotonic, acked.aggregation_temporality) == (True, CUMULATIVE)
    [point] = acked.data_points
    assert (point.as_double, attributes(point)) == (3, {"service": service.name, "handler": "look"})
    assert 0 < point.start_time_unix_nano < point.time_unix_nano

    times = sent("jetmesh_handling_seconds").histogram
    [histogram] = times.data_points
    assert times.aggregation_temporality == CUMULATIVE
    assert (histogram.count, sum(histogram.bucket_counts)) == (3, 3)
    bounds = [s.labels["le"] for s in shown["jetmesh_handling_seconds"].samples if "le" in s.labels]
    assert [*histogram.explicit_bounds, float("inf")] == [float(bound) for bound in bounds]
    assert len(histogram.bucket_counts) == len(bounds)
    traces = {span.trace_id for span in otlp.spans}
    assert {exemplar.trace_id.hex() for exemplar in histogram.exemplars} <= traces
    assert histogram.exemplars

    assert [p.as_double for p in sent("jetmesh_in_flight").gauge.data_points] == [0]
    about = otlp.about[service.name]
    assert about["service.version"] == "3"
    assert about["service.instance.id"]


async def test_they_are_sent_again_and_again(
    broker: Broker, unique: str, otlp: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{otlp.url}/v1/metrics")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    placed, service = placed_and_its_service(unique)

    def acked() -> float:
        found = otlp.metrics.get((service.name, "jetmesh_acked_total"))
        return found.sum.data_points[0].as_double if found else -1.0

    async with testing.mesh(service, url=broker.url) as m:
        await testing.eventually(lambda: acked() == 0)
        await m.publish(placed("p-1"))
        await testing.eventually(lambda: acked() == 1)


async def test_the_endpoint_of_all_signals_alone_sends_none(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    placed, service = placed_and_its_service(unique)
    async with testing.mesh(service, url=broker.url) as m:
        await m.publish(placed("p-1"))
        await m.settled()
    assert otlp.spans
    assert not otlp.metrics


def test_metrics_of_users_keep_the_names_of_their_samples() -> None:
    registry = CollectorRegistry()
    Summary("shop_basket", "Items", registry=registry).observe(2.0)
    Info("shop_build", "Which", registry=registry).info({"commit": "abc"})
    families: list[Family] = list(registry.collect())
    made = {metric.name: metric.data.data_points[0] for metric in translated(families, 1, 2)}
    assert set(made) == {"shop_basket_count", "shop_basket_sum", "shop_build_info"}
    assert made["shop_build_info"].attributes == {"commit": "abc"}
