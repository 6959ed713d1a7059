"""Whether a process is to be traced: the standard variables of OpenTelemetry say so."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Final

from jetmesh.extras import require
from jetmesh.runtime.tracing.parts import UNTRACED, Parts

_ASKING: Final = (
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)


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
    asking = next((name for name in _ASKING if environ.get(name)), "")
    off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if not asking or off or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return UNTRACED
    require("otel", f"Tracing, for which {asking} asks,", "opentelemetry", "opentelemetry.sdk")
    from jetmesh.runtime.tracing.traced import traced  # noqa: PLC0415 - nothing of it when it is off

    return traced(name, version, subjects, environ)
