"""The exporters that the standard variables name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from jetmesh.errors import SettingsError

_NAMES: Final = {
    ("otlp", "http/protobuf"): "otlp_proto_http",
    ("otlp", "grpc"): "otlp_proto_grpc",
}


def exporters(signal: str, wanted: list[str], environ: Mapping[str, str]) -> list[Any]:
    """Those of `signal`, traces or metrics, by the names that the variables use.

    Raises:
        SettingsError: there is none of that name.
    """
    protocol = environ.get(
        f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL",
        environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    )
    return [_exporter(signal, name, protocol) for name in wanted]


def _exporter(signal: str, name: str, protocol: str) -> Any:
    known = entry_points(group=f"opentelemetry_{signal}_exporter")
    found = next((e for e in known if e.name == _NAMES.get((name, protocol), name)), None)
    if found is None:
        raise SettingsError(
            f"OTEL_{signal.upper()}_EXPORTER: there is no exporter {name!r} for {protocol}.",
            remedy=f"Install it, or choose of {', '.join(sorted(known.names))}, or none.",
        )
    return found.load()()


def named(variable: str, environ: Mapping[str, str]) -> list[str]:
    """The exporters in a variable, which separates them with commas."""
    return [name.strip() for name in environ.get(variable, "").split(",") if name.strip()]
