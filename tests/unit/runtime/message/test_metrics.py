"""/metrics: what Prometheus reads, with no data in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import isclose
from time import time, time_ns
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from jetmesh import Policy, Service, event
from jetmesh.runtime.message.belief import Evidence
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.runtime.message.quarantine import Quarantine
from jetmesh.runtime.prometheus import ServiceCollector, exposition
from jetmesh.transport.lookups import LookUps
from jetmesh.transport.outcomes import Outcomes
from jetmesh.transport.seam import utc_now


@event("metrics-in.placed", key="order_id")
class Placed(Struct, frozen=True):
    order_id: str
    email: str = ""


service = Service("metrics-service")


@service.on(Placed)
def check(placed: Placed) -> None:
    if placed.email:
        raise ValueError(f"cannot write to {placed.email}")


class Wire:
    """A transport that keeps nothing and hears everything."""

    turns = SimpleNamespace(is_over=False)
    now = staticmethod(utc_now)

    def inflow(self, *_: object, **__: object) -> Any:
        return SimpleNamespace(settled=lambda: None, check=lambda _: None)

    def publish(self, *message: Any) -> None:
        message[-1].on_stored(b"")

    def ack(self, reply: bytes) -> None: ...
    def retry(self, reply: bytes, delay: float) -> None: ...
    def terminate(self, reply: bytes, reason: str) -> None: ...
    def progress(self, reply: bytes) -> None: ...


def consumer() -> Consumer:
    wire: Any = Wire()
    return Consumer(
        service.handlers[0],
        version="1",
        policy=Policy(attempts=1),
        transport=wire,
        evidence=Evidence(LookUps(b"_INBOX"), Outcomes("metrics-service", ())),
        injected={},
        quarantine=Quarantine(lambda: wire, list),
    )


def families(*consumers: Consumer, projections: Any = ()) -> dict[str, Any]:
    plane = SimpleNamespace(publishes=_Publishes(), reconnects=3, strays=0)
    text = exposition(
        ServiceCollector("metrics-service", consumers, projections, plane, lambda: True)
    )
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


class _Publishes:
    resent = 2

    def __len__(self) -> int:
        return 7


def deliver(to: Consumer, payload: bytes, sequence: int = 1) -> None:
    reply = b"$JS.ACK.METRICS_IN.metrics-service-check.1.%d.1.1700000000000000000.0" % sequence
    to._handle(b"metrics-in.placed", reply, b"", payload)


def test_every_counter_is_exposed_per_handler() -> None:
    c = consumer()
    deliver(c, b'{"order_id":"p-1"}')
    deliver(c, b"no json", 2)
    found = families(c)
    labels = {"service": "metrics-service", "handler": "check"}
    expected = {"delivered": 2, "acked": 1, "retried": 0, "dead": 1, "failed": 1, "published": 0}
    for name, value in expected.items():
        assert found[f"jetmesh_{name}"].samples[0].value == value
    assert found["jetmesh_delivered"].samples[0].labels == labels
    assert found["jetmesh_in_flight"].samples[0].value == 0
    assert found["jetmesh_ready"].samples[0].value == 1
    assert found["jetmesh_publishes_pending"].samples[0].value == 7
    assert found["jetmesh_publishes_resent"].samples[0].value == 2
    assert found["jetmesh_reconnects"].samples[0].value == 3


def test_no_data_of_a_message_is_in_the_exposition() -> None:
    c = consumer()
    deliver(c, b'{"order_id":"order-4711","email":"customer@example.test"}')
    plane = SimpleNamespace(publishes=_Publishes(), reconnects=0, strays=0)
    text = exposition(ServiceCollector("metrics-service", [c], [], plane, lambda: True)).decode()
    assert c.stats.dead == 1
    assert "4711" not in text
    assert "example.test" not in text
    assert "customer" not in c.stats.last_error


def durations(c: Consumer) -> tuple[dict[float, float], dict[str, float]]:
    """How many took at most so many seconds, by these seconds; and their count and sum."""
    samples = families(c)["jetmesh_handling_seconds"].samples
    counts = {float(s.labels["le"]): s.value for s in samples if "le" in s.labels}
    return counts, {s.name: s.value for s in samples if "le" not in s.labels}


def test_durations_are_counted_and_summed() -> None:
    c = consumer()
    for seconds in (0.0000004, 0.000003, 0.1, 2000.0):
        c.stats.took(seconds)
    counts, total = durations(c)
    for seconds, expected in ((1e-6, 1), (4e-6, 2), (0.065536, 2), (0.131072, 3)):
        assert counts[seconds] == expected
    assert counts[float("inf")] == 4
    assert total["jetmesh_handling_seconds_count"] == 4
    assert abs(total["jetmesh_handling_seconds_sum"] - 2000.1) < 0.001


def test_buckets_reach_from_a_microsecond_to_a_minute_and_none_is_far_from_the_next() -> None:
    counts, _ = durations(consumer())
    *bounds, last = sorted(counts)
    assert bounds[0] == 1e-6
    assert bounds[-1] > 60
    assert last == float("inf")
    assert all(after / before < 2.01 for before, after in pairwise(bounds))


@given(st.floats(0, 1e6))
def test_a_duration_is_counted_in_every_bucket_that_it_is_below(seconds: float) -> None:
    c = consumer()
    c.stats.took(seconds)
    counts, _ = durations(c)
    for bound, count in counts.items():
        if not isclose(bound, seconds, rel_tol=1e-5):  # bounds are shown with six digits
            assert count == (seconds < bound)


def test_time_in_the_queue_is_measured_at_most_a_thousand_times_a_second() -> None:
    c = consumer()
    for sequence in range(1, 101):
        deliver(c, b'{"order_id":"p-1"}', sequence)
    found = {s.name: s.value for s in families(c)["jetmesh_queue_seconds"].samples}
    count = found["jetmesh_queue_seconds_count"]
    assert 1 <= count < 100
    waited = time() - 1_700_000_000  # since the messages were stored
    assert isclose(found["jetmesh_queue_seconds_sum"] / count, waited, rel_tol=1e-3)


def test_the_oldest_message_is_the_one_that_was_stored_first() -> None:
    c = consumer()
    assert families(c)["jetmesh_oldest_seconds"].samples[0].value == 0
    now = time_ns()
    for slot, age in ((b"1", 5), (b"2", 60), (b"3", 1)):
        c.in_flight[slot] = SimpleNamespace(origin=SimpleNamespace(stored=now - age * 10**9))  # type: ignore[assignment] # all that is read of it
    assert 60 <= families(c)["jetmesh_oldest_seconds"].samples[0].value < 65


def test_read_models_of_one_stream_are_one_number() -> None:
    projections = [
        SimpleNamespace(stream="ORDERS", folded=3, skipped=1, forgotten=1, slow_folds=0),
        SimpleNamespace(stream="ORDERS", folded=2, skipped=0, forgotten=1, slow_folds=0),
        SimpleNamespace(stream="PAYMENTS", folded=1, skipped=0, forgotten=1, slow_folds=0),
    ]
    found = families(projections=projections)
    assert {s.labels["stream"]: s.value for s in found["jetmesh_folded"].samples} == {
        "ORDERS": 5,
        "PAYMENTS": 1,
    }
    assert found["jetmesh_skipped"].samples[0].value == 1


def test_a_service_without_handlers_has_metrics_too() -> None:
    assert families()["jetmesh_ready"].samples[0].value == 1


@pytest.fixture
def theirs() -> Iterator[CollectorRegistry]:
    """What somebody registers in the default registry, gone after the test."""
    before = set(REGISTRY._collector_to_names)
    yield REGISTRY
    for collector in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(collector)


def test_metrics_that_users_register_are_exported_too(theirs: CollectorRegistry) -> None:
    Counter("metrics_test_mails", "Mails sent", ["kind"]).labels("receipt").inc(3)
    found = families(consumer())
    assert found["metrics_test_mails"].samples[0].value == 3
    assert found["metrics_test_mails"].samples[0].labels == {"kind": "receipt"}
    assert "jetmesh_acked" in found


def test_a_name_is_exported_once_whoever_else_uses_it(theirs: CollectorRegistry) -> None:
    Gauge("jetmesh_ready", "Not ours").set(7)
    Gauge("jetmesh_acked_total", "Not ours either").set(7)
    with capture_logs() as said:
        plane = SimpleNamespace(publishes=_Publishes(), reconnects=3, strays=0)
        text = exposition(ServiceCollector("metrics-service", (), (), plane, lambda: True)).decode()
    assert text.count("# TYPE jetmesh_ready ") == 1
    assert "jetmesh_ready 1.0" in text
    assert [each["metric"] for each in said] == ["jetmesh_ready", "jetmesh_acked_total"]


def test_a_collector_of_users_that_fails_takes_nothing_of_ours_along(
    theirs: CollectorRegistry,
) -> None:
    class Broken(Collector):
        def describe(self) -> list[Metric]:
            return []

        def collect(self) -> list[Metric]:
            raise ValueError("no database")

    theirs.register(Broken())
    with capture_logs() as said:
        assert "jetmesh_acked" in families(consumer())
    assert said[0]["message"] == "no database"
