"""Sends what /metrics shows, again and again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from time import time_ns
from typing import Final

import structlog
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.registry import Collector

from jetmesh.errors import SettingsError
from jetmesh.privacy.mask import name_of, text_of
from jetmesh.runtime.tracing.exporters import exporters, named
from jetmesh.runtime.tracing.points import translated
from jetmesh.runtime.tracing.resource import resource_of

_TEMPORALITY: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_END_SECONDS: Final = 2.0
log = structlog.get_logger()


class Sending:
    """One service's metrics on their way to the exporters that the standard variables name.

    They are read on the event loop, where the counters change, and sent from a thread.

    Raises:
        SettingsError: there is no such exporter, or what is asked of it cannot be had.
    """

    def __init__(self, service: str, version: str, environ: Mapping[str, str]) -> None:
        wanted = [n for n in named("OTEL_METRICS_EXPORTER", environ) if n != "prometheus"]
        if environ.get(_TEMPORALITY, "cumulative").lower() != "cumulative":
            raise SettingsError(
                f"{_TEMPORALITY}: metrics are cumulative, as on /metrics.",
                remedy="Leave it out; the Collector's cumulativetodelta processor makes deltas.",
            )
        self._seconds = _milliseconds("OTEL_METRIC_EXPORT_INTERVAL", 60_000, environ) / 1000
        self._timeout = _milliseconds("OTEL_METRIC_EXPORT_TIMEOUT", 30_000, environ)
        self._exporters: list[MetricExporter] = exporters("metrics", wanted or ["otlp"], environ)
        self._resource = resource_of(service, version)
        self._scope = InstrumentationScope("jetmesh", version)
        self._started = time_ns()
        self._collector: Collector | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, collector: Collector) -> None:
        """Send what `collector` knows from now on."""
        self._collector = collector
        self._task = asyncio.create_task(self._again_and_again())

    async def end(self) -> None:
        """Send the last numbers, and wait for that as long as an end may take."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self._send()
                for exporter in self._exporters:
                    await asyncio.to_thread(exporter.shutdown)

    async def _again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self._send()

    async def _send(self) -> None:
        if self._collector is None:
            return  # it ends before it began
        for exporter in self._exporters:
            try:
                data, limit = self._data(self._collector), self._timeout
                result = await asyncio.to_thread(exporter.export, data, timeout_millis=limit)
            except Exception as error:  # noqa: BLE001 - anybody's exporter or metric may raise anything
                log.warning("metrics not sent", error=name_of(error), message=text_of(error))
            else:
                if result is not MetricExportResult.SUCCESS:
                    log.warning("metrics not sent", exporter=type(exporter).__name__)

    def _data(self, collector: Collector) -> MetricsData:
        metrics = list(translated(collector.collect(), self._started, time_ns()))
        scoped = ScopeMetrics(self._scope, metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scoped], "")])


def _milliseconds(variable: str, default: int, environ: Mapping[str, str]) -> int:
    text = environ.get(variable) or str(default)
    if not text.isdecimal() or not int(text):
        raise SettingsError(
            f"{variable}: {text!r} is no number of milliseconds.",
            remedy=f"Set it to {default}, say, or leave it out.",
        )
    return int(text)
