"""Whether a process is traced: the standard variables say so, and what is missing is said."""

from __future__ import annotations

import pytest

from jetmesh import extras
from jetmesh.errors import MissingExtra, SettingsError
from jetmesh.runtime.tracing.asked import UNSENT, metrics_for, parts_for
from jetmesh.runtime.tracing.parts import UNTRACED
from jetmesh.runtime.tracing.plane import TracedPlane

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_SERVICE_NAME": "shop"},
        ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nobody_asked(environ: dict[str, str]) -> None:
    assert parts_for("payments", "1", [], environ) is UNTRACED


@pytest.mark.parametrize("environ", [ENDPOINT, {"OTEL_TRACES_EXPORTER": "console"}])
async def test_somebody_asked(environ: dict[str, str]) -> None:
    parts = parts_for("payments", "1", [], environ)
    assert parts.plane.func is TracedPlane  # type: ignore[attr-defined] # it is a partial
    await parts.end()


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="OTEL_EXPORTER_OTLP_ENDPOINT") as told:
        parts_for("payments", "1", [], ENDPOINT)
    assert told.value.remedy == "pip install 'jetmesh[otel]'"


def test_an_exporter_that_is_not_installed_is_named() -> None:
    with pytest.raises(SettingsError, match="no exporter 'zipkin'") as told:
        parts_for("payments", "1", [], {"OTEL_TRACES_EXPORTER": "zipkin"})
    assert "otlp_proto_http" in told.value.remedy


METRICS = {"OTEL_METRICS_EXPORTER": "otlp"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        ENDPOINT,
        METRICS | {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_METRICS_EXPORTER": "none"},
        {"OTEL_METRICS_EXPORTER": "prometheus"},
    ],
)
def test_nobody_asked_for_metrics(environ: dict[str, str]) -> None:
    assert metrics_for("payments", "1", environ) is UNSENT


@pytest.mark.parametrize(
    "environ", [METRICS, {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9/v1/metrics"}]
)
async def test_somebody_asked_for_metrics(environ: dict[str, str]) -> None:
    metrics = metrics_for("payments", "1", environ)
    assert metrics is not UNSENT
    await metrics.end()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_METRICS_EXPORTER", "statsd"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1s"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
    ],
)
def test_what_cannot_be_had_of_metrics_is_refused(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        metrics_for("payments", "1", METRICS | {variable: value})
