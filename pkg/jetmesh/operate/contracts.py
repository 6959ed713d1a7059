"""The published contracts: an AsyncAPI document and a JSON Schema per event, kept with the code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import yaml

from jetmesh.declare.system import System
from jetmesh.declare.topology import Topology
from jetmesh.operate.asyncapi import document
from jetmesh.operate.schemas import json_schema

_NOTE: Final = "# Written by `jetmesh contracts` from the declarations: change those, not this.\n"


def write(system: System, topology: Topology, directory: Path) -> list[Path]:
    """Write the contracts below `directory` and return their paths.

    Schemas of events that no longer exist are removed.

    Raises:
        OSError: the directory cannot be written.
    """
    current = _contents(system, topology, directory)
    for path in _leftovers(current, directory):
        path.unlink()
    for path, text in current.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return list(current)


def stale(system: System, topology: Topology, directory: Path) -> list[Path]:
    """The files that `write` would make, change or remove."""
    current = _contents(system, topology, directory)
    differing = [path for path, text in current.items() if _text(path) != text]
    return differing + _leftovers(current, directory)


def _contents(system: System, topology: Topology, directory: Path) -> dict[Path, str]:
    described = document(system, topology)
    text = yaml.dump(described, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)
    found = {directory / "asyncapi.yaml": _NOTE + text}
    for spec in topology.events:
        schema = json.dumps(json_schema(spec), indent=2, ensure_ascii=False)
        found[directory / "schemas" / f"{spec.subject}.json"] = f"{schema}\n"
    return found


def _leftovers(current: dict[Path, str], directory: Path) -> list[Path]:
    return sorted(path for path in (directory / "schemas").glob("*.json") if path not in current)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


class _Plain(yaml.SafeDumper):
    """Without anchors: people compare these files line by line."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True
