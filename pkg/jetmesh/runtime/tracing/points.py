"""Metrics of Prometheus as those of OpenTelemetry, under the names that /metrics shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, Final, cast

import prometheus_client.core as prometheus
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from prometheus_client.samples import Sample

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE
_GROWING: Final = ("_total", "_count", "_sum")
"""How samples end that count since the process began."""


def translated(families: Iterable[prometheus.Metric], started: int, now: int) -> Iterator[Metric]:
    """The same numbers; times in nanoseconds since 1970.

    Histograms keep their buckets. Of other kinds each sample name is a metric of its own, as it
    is in Prometheus: a summary's `_count` and `_sum` are sums, an info is a gauge that is 1.
    """
    for family in families:
        made = _histogram if family.type == "histogram" else _numbers
        yield from made(family, started, now)


def _numbers(family: prometheus.Metric, started: int, now: int) -> Iterator[Metric]:
    grows = family.type in ("counter", "summary")
    for name, samples in _by(family.samples, lambda sample: sample.name).items():
        if name.endswith("_created"):
            continue  # a time, not a number of anything; the text for Prometheus has it for itself
        points = [NumberDataPoint(s.labels, started, now, float(s.value)) for s in samples]
        grown = grows and name.endswith(_GROWING)
        data = Sum(points, _CUMULATIVE, is_monotonic=True) if grown else Gauge(points)
        yield Metric(name, family.documentation, "", data)


def _histogram(family: prometheus.Metric, started: int, now: int) -> Iterator[Metric]:
    points = [
        _bucketed(dict(labels), samples, started, now)
        for labels, samples in _by(family.samples, _labels).items()
    ]
    yield Metric(family.name, family.documentation, "", Histogram(points, _CUMULATIVE))


def _bucketed(
    labels: dict[str, str], samples: list[Sample], started: int, now: int
) -> HistogramDataPoint:
    """One histogram; Prometheus counts what is below each bound, OpenTelemetry what is between."""
    buckets = [sample for sample in samples if sample.name.endswith("_bucket")]
    below = [0, *(int(bucket.value) for bucket in buckets)]
    unknown = cast("float", None)  # optional in OTLP, and the SDK passes it on
    return HistogramDataPoint(
        attributes=labels,
        start_time_unix_nano=started,
        time_unix_nano=now,
        count=below[-1],
        sum=next((s.value for s in samples if s.name.endswith("_sum")), 0.0),
        bucket_counts=[more - less for less, more in pairwise(below)],
        explicit_bounds=[float(bucket.labels["le"]) for bucket in buckets[:-1]],
        min=unknown,
        max=unknown,
        exemplars=[_exemplar(bucket.exemplar, now) for bucket in buckets if bucket.exemplar],
    )


def _labels(sample: Sample) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in sample.labels.items() if name != "le")


def _exemplar(known: Any, now: int) -> Exemplar:
    labels = dict(known.labels)
    trace_id, span_id = labels.pop("trace_id", ""), labels.pop("span_id", "")
    at = now if known.timestamp is None else round(known.timestamp * 1e9)
    if not trace_id or not span_id:
        return Exemplar(known.labels, known.value, at)
    return Exemplar(labels, known.value, at, int(span_id, 16), int(trace_id, 16))


def _by(samples: Iterable[Sample], of: Callable[[Sample], Any]) -> dict[Any, list[Sample]]:
    found: dict[Any, list[Sample]] = {}
    for sample in samples:
        found.setdefault(of(sample), []).append(sample)
    return found
