"""The sizes that the chart gives the bundled NATS, from its values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from jetmesh.declare import Duration, Topology
from jetmesh.declare.topology import StreamSpec, StreamTuning
from jetmesh.errors import SettingsError, UsageError
from jetmesh.operate.ceilings.load import Place
from jetmesh.operate.helm.tree import camel

_CHART: Final = Path("deploy/k8s/chart/values.yaml")
_UNITS: Final = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_amount = re.compile(r"([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti)")


def place_of_chart(root: Path, overlays: Sequence[Path]) -> Place:
    """The servers as `deploy/k8s/chart/values.yaml` has them, and the files that are laid over it.

    Of zero servers where that says nothing, or bundles none.

    Raises:
        UsageError: a file cannot be read, or is no YAML.
    """
    chart = root / _CHART
    files = [*([chart] if chart.is_file() else []), *overlays]
    nats: dict[str, Any] = {}
    for each in files:
        found = _read(each).get("nats")
        _merge(nats, found if isinstance(found, Mapping) else {})
    if nats.get("url"):
        return Place(0)
    return Place(
        servers=int(nats.get("nodes") or 0),
        memory=_bytes(_at(nats, "resources", "limits", "memory")),
        memory_from=f"nats.resources.limits.memory in {_CHART}",
        volume=_bytes(_at(nats, "storage", "size")),
        volume_from=f"nats.storage.size in {_CHART}",
        syncs_always=nats.get("syncInterval") == "always",
    )


def tuned(topology: Topology, overlays: Sequence[Path]) -> Topology:
    """The topology with the streams tuned as the files say, such as `streams.ORDERS.maxAge`.

    Raises:
        UsageError: a file cannot be read, or tunes a stream with what is no value.
    """
    given: dict[str, Any] = {}
    for each in overlays:
        found = _read(each).get("streams")
        _merge(given, found if isinstance(found, Mapping) else {})
    streams = tuple(_tuned(spec, given.get(spec.section)) for spec in topology.streams)
    return replace(topology, streams=streams)


def _tuned(spec: StreamSpec, given: object) -> StreamSpec:
    if not isinstance(given, Mapping):
        return spec
    values = {
        name: given[camel(name)] for name in StreamTuning.__struct_fields__ if camel(name) in given
    }
    try:
        found = msgspec.convert(values, StreamTuning, dec_hook=_duration)
    except (msgspec.ValidationError, SettingsError) as error:
        raise UsageError(
            f"streams.{spec.section} of the values is no tuning: {error}.",
            remedy="`helm template` with these values says the same.",
        ) from error
    changed = {name: getattr(found, name) for name in values}
    return replace(spec, tuning=msgspec.structs.replace(spec.tuning, **changed))


def _duration(kind: type, value: object) -> object:
    return Duration.parse(str(value)) if kind is Duration else value


def _read(file: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no YAML"
        raise UsageError(f"{file} cannot be read: {why}.", remedy="Name a values file.") from error
    return found if isinstance(found, Mapping) else {}


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping):
            below = into.get(name)
            into[name] = below if isinstance(below, dict) else {}
            _merge(into[name], value)
        else:
            into[name] = value


def _at(tree: Mapping[str, Any], *path: str) -> object:
    found: object = tree
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _bytes(amount: object) -> int:
    """`10Gi`; 0 for what the chart refuses anyway."""
    found = _amount.fullmatch(str(amount))
    return round(float(found[1]) * _UNITS[found[2]]) if found else 0
