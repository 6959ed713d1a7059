"""/metrics: the counters of every handler, read when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from time import time_ns
from typing import Any, Final, TypeAlias

import structlog
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from jetmesh.privacy.mask import name_of, text_of
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.runtime.message.metrics import Exemplar as Known
from jetmesh.runtime.message.metrics import HandlerStats, QueueTimes
from jetmesh.runtime.projection import Projection

_BUCKETS: Final = 31
"""Buckets up to 18 minutes; what took longer is in +Inf."""
_COUNTERS: Final = {
    "delivered": "Deliveries received",
    "acked": "Deliveries handled",
    "retried": "Deliveries given back to be tried again",
    "dead": "Deliveries dead-lettered",
    "failed": "Attempts that raised",
    "unreadable": "Deliveries whose event broke its contract",
    "published": "Outputs stored",
    "repeated": "Outcomes found stored already by the same cause",
    "lost": "Deliveries that lost a race: another cause had decided the key, as it may",
    "refused": "Outcomes refused because another cause had decided the key",
    "forged": "Inputs kept because something forged stands where their output belongs",
    "squatted": "Outputs stored under another id, because somebody had taken theirs",
    "markers": "Deliveries that only told that the server removed others, acked without a run",
    "ignored": "Deliveries that the step of their process did not expect, and that changed nothing",
    "newer": "Deliveries given back because only newer code can read their version",
    "state_races": "Inputs handled again, as another replica had changed their key's state first",
    "state_waits": "Inputs that waited, because their key had no room to remember one more",
    "slow": "Calls that kept the event loop for more than 100 ms",
}


def _oldest(consumer: Consumer) -> float:
    stored = min((d.origin.stored for d in consumer.in_flight.values()), default=None)
    return 0.0 if stored is None else max(0.0, (time_ns() - stored) / 1e9)


_GAUGES: Final[dict[str, tuple[str, Callable[[Consumer], float]]]] = {
    "in_flight": ("Deliveries without a verdict", lambda c: len(c.in_flight)),
    "oldest_seconds": ("Age of the oldest message without a verdict, from its storing", _oldest),
    "lag": ("Messages not handled yet, in flight included", lambda c: c.stats.lag),
    "parked_keys": (
        "Keys of an ordered handler that wait behind a message that failed",
        lambda c: c.order.parked.keys if c.order else 0,
    ),
    "parked": (
        "Messages that wait with them; of the first 20 keys",
        lambda c: c.order.parked.messages if c.order else 0,
    ),
    "unavailable": (
        "1 while the handler waits for a dependency",
        lambda c: bool(c.runner.outage.reason),
    ),
}
log = structlog.get_logger()

_Kind: TypeAlias = type[CounterMetricFamily] | type[GaugeMetricFamily]
_Times: TypeAlias = HandlerStats | QueueTimes


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
        yield self._times("handling_seconds", "From delivery to verdict", lambda stats: stats)
        yield self._times(
            "queue_seconds",
            "From storing to the first delivery; above 1000 a second, of some",
            attrgetter("queue"),
        )
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
        yield CounterMetricFamily(
            "jetmesh_strays",
            "Messages on our inboxes that are no deliveries: somebody else publishes there",
            self._plane.strays,
        )

    def _times(self, name: str, text: str, of: Callable[[HandlerStats], _Times]) -> Metric:
        family = HistogramMetricFamily(f"jetmesh_{name}", text, labels=("service", "handler"))
        for consumer in self._consumers:
            times, total = of(consumer.stats), 0
            exemplars = times.exemplars if isinstance(times, HandlerStats) else {}
            buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
            for index, count in enumerate(times.buckets[:_BUCKETS]):
                total += count
                start = f"{2**index / 1e6:g}", float(total)
                known = exemplars.get(index)
                buckets.append((*start, _exemplar(known)) if known else start)
            buckets.append(("+Inf", float(sum(times.buckets))))
            family.add_metric(self._labels(consumer), buckets, times.seconds)
        return family

    def _by_handler(
        self, kind: _Kind, name: str, text: str, value: Callable[[Consumer], float]
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
    return negotiated(collector, "")[0]


def negotiated(collector: Collector, accept: str) -> tuple[bytes, str]:
    """The text in the form that `accept` asks for, and its type; OpenMetrics has exemplars."""
    registry = CollectorRegistry()
    registry.register(WithTheirs(collector))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class WithTheirs(Collector):
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


def _exemplar(known: Known) -> Exemplar:
    labels = {"trace_id": known.trace_id, "span_id": known.span_id}
    return Exemplar(labels, known.seconds, known.at)
