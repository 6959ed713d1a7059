"""/metrics: the counters of every handler, read when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from jetmesh.privacy.mask import name_of, text_of
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.runtime.projection import Projection

_BUCKETS: Final = 31
"""Buckets up to 18 minutes; what took longer is in +Inf."""
_COUNTERS: Final = {
    "delivered": "Deliveries received",
    "acked": "Deliveries handled",
    "retried": "Deliveries given back to be tried again",
    "dead": "Deliveries dead-lettered",
    "failed": "Attempts that raised",
    "published": "Outputs stored",
    "repeated": "Outcomes found stored already by the same cause",
    "lost": "Deliveries that lost a race: another cause had decided the key, as it may",
    "refused": "Outcomes refused because another cause had decided the key",
    "markers": "Deliveries that only told that the server removed others, acked without a run",
    "slow": "Calls that kept the event loop for more than 100 ms",
}

_GAUGES: Final[dict[str, tuple[str, Callable[[Consumer], int]]]] = {
    "in_flight": ("Deliveries without a verdict", lambda c: len(c.in_flight)),
    "lag": ("Messages not handled yet, in flight included", lambda c: c.stats.lag),
    "unavailable": (
        "1 while the handler waits for a dependency",
        lambda c: bool(c.runner.outage.reason),
    ),
}
log = structlog.get_logger()

_Kind: TypeAlias = type[CounterMetricFamily] | type[GaugeMetricFamily]


class ServiceCollector(Collector):
    """Turns plain counters into metrics, labelled with declared names, never with data."""

    def __init__(
        self,
        service: str,
        consumers: Sequence[Consumer],
        projections: Sequence[Projection],
        plane: Any,
        ready: Callable[[], bool],
    ) -> None:
        self._service = service
        self._consumers = consumers
        self._projections = projections
        self._plane = plane
        self._ready = ready

    def collect(self) -> Iterator[Metric]:
        for name, text in _COUNTERS.items():
            yield self._by_handler(CounterMetricFamily, name, text, attrgetter(f"stats.{name}"))
        yield self._durations()
        for name, (text, value) in _GAUGES.items():
            yield self._by_handler(GaugeMetricFamily, name, text, value)
        yield self._by_stream("folded", "Events folded into read models")
        yield self._by_stream("skipped", "Events that read models could not read or apply")
        yield self._by_stream("forgotten", "Keys that the server removed under read models")
        yield self._by_stream("slow_folds", "Events whose folding kept the event loop over 100 ms")
        yield GaugeMetricFamily("jetmesh_ready", "1 when ready", value=float(self._ready()))
        yield GaugeMetricFamily(
            "jetmesh_publishes_pending", "Outputs without a PubAck", len(self._plane.publishes)
        )
        yield CounterMetricFamily(
            "jetmesh_publishes_resent", "Outputs sent again", self._plane.publishes.resent
        )
        yield CounterMetricFamily(
            "jetmesh_reconnects", "Connections lost and rebuilt", self._plane.reconnects
        )

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "jetmesh_handling_seconds",
            "From delivery to verdict",
            labels=("service", "handler"),
        )
        for consumer in self._consumers:
            stats, total, buckets = consumer.stats, 0, []
            for index, count in enumerate(stats.buckets[:_BUCKETS]):
                total += count
                buckets.append((f"{2**index / 1e6:g}", float(total)))
            buckets.append(("+Inf", float(sum(stats.buckets))))
            family.add_metric(self._labels(consumer), buckets, stats.seconds)
        return family

    def _by_handler(
        self, kind: _Kind, name: str, text: str, value: Callable[[Consumer], int]
    ) -> Metric:
        family = kind(f"jetmesh_{name}", text, labels=("service", "handler"))
        for consumer in self._consumers:
            family.add_metric(self._labels(consumer), value(consumer))
        return family

    def _by_stream(self, name: str, text: str) -> Metric:
        totals: dict[str, int] = {}  # several read models may read one stream
        for projection in self._projections:
            totals[projection.stream] = totals.get(projection.stream, 0) + getattr(projection, name)
        family = CounterMetricFamily(f"jetmesh_{name}", text, labels=("service", "stream"))
        for stream, total in totals.items():
            family.add_metric((self._service, stream), total)
        return family

    def _labels(self, consumer: Consumer) -> tuple[str, str]:
        return self._service, consumer.handler.name


def exposition(collector: Collector) -> bytes:
    """The text that Prometheus scrapes: the service's metrics, and those that users registered."""
    registry = CollectorRegistry()
    registry.register(_WithTheirs(collector))
    return generate_latest(registry)


class _WithTheirs(Collector):
    """Metrics of ours, then those of `prometheus_client`'s default registry, each name once."""

    def __init__(self, ours: Collector) -> None:
        self._ours = ours

    def collect(self) -> Iterator[Metric]:
        taken: set[str] = set()
        for metric in [*self._ours.collect(), *_theirs()]:
            shown = f"{metric.name}_total" if metric.type == "counter" else metric.name
            names = {shown, *(sample.name for sample in metric.samples)}
            if names & taken:
                log.warning("metric left out", metric=metric.name, reason="its name is taken")
                continue
            taken |= names
            yield metric


def _theirs() -> list[Metric]:
    try:
        return list(REGISTRY.collect())
    except Exception as error:  # noqa: BLE001 - somebody's own collector may raise anything
        log.error("metrics of your own left out", error=name_of(error), message=text_of(error))  # noqa: TRY400 - the text says it
        return []
