"""Whether a process is to be traced, and its metrics sent: OpenTelemetry's variables say so."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from prometheus_client.registry import Collector

from jetmesh.extras import require
from jetmesh.runtime.tracing.parts import UNTRACED, Parts

_TRACES: Final = (
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)
_METRICS: Final = ("OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
"""Not the endpoint of all signals: /metrics is there anyway, and most collectors scrape it."""
_NOTHING_TO_SEND: Final = ("none", "prometheus")


class Metrics(Protocol):
    """A service's metrics on their way."""

    def begin(self, collector: Collector) -> None:
        """Send what `collector` knows from now on."""

    async def end(self) -> None:
        """Send the last numbers."""


class _Unsent:
    """/metrics is all there is."""

    def begin(self, collector: Collector) -> None:
        pass

    async def end(self) -> None:
        pass


UNSENT: Final = _Unsent()


def parts_for(
    name: str,
    version: str,
    subjects: Iterable[str],
    environ: Mapping[str, str] = os.environ,
) -> Parts:
    """The parts of a service or publisher, which knows the events on these subjects.

    OpenTelemetry is imported only where a variable asks for it.

    Raises:
        MissingExtra: OpenTelemetry is asked for and not installed.
        SettingsError: there is no such exporter.
    """
    asking = _asking(_TRACES, environ)
    if not asking or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return UNTRACED
    require("otel", f"Tracing, for which {asking} asks,", "opentelemetry", "opentelemetry.sdk")
    from jetmesh.runtime.tracing.traced import traced  # noqa: PLC0415 - nothing of it when it is off

    return traced(name, version, subjects, environ)


def metrics_for(name: str, version: str, environ: Mapping[str, str] = os.environ) -> Metrics:
    """What sends the metrics of a service, if a variable asks for that.

    Raises:
        MissingExtra: OpenTelemetry is asked for and not installed.
        SettingsError: there is no such exporter, or what is asked of it cannot be had.
    """
    asking = _asking(_METRICS, environ)
    if not asking or environ.get("OTEL_METRICS_EXPORTER", "").strip() in _NOTHING_TO_SEND:
        return UNSENT
    what = f"Sending metrics, for which {asking} asks,"
    require("otel", what, "opentelemetry", "opentelemetry.sdk")
    from jetmesh.runtime.tracing.metrics import Sending  # noqa: PLC0415 - as above

    return Sending(name, version, environ)


def _asking(variables: Iterable[str], environ: Mapping[str, str]) -> str:
    """The first variable that asks for something; empty when OpenTelemetry is off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    return next((name for name in variables if environ.get(name)), "")
