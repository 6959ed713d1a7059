"""The published contracts: AsyncAPI documents, a JSON Schema per event, and who may do what.

They are kept with the code, so that what changes is a diff that people read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

from jetmesh.declare.event import EventSpec
from jetmesh.declare.system import System
from jetmesh.declare.topology import Topology
from jetmesh.operate import asyncapi
from jetmesh.operate.example import made_up
from jetmesh.operate.identities import listing
from jetmesh.operate.schemas import json_schema

_NOTE: Final = "# Written by `jetmesh contracts` from the declarations: change those, not this.\n"
PERMISSIONS: Final = "permissions.txt"
_GENERATED: Final = (f"{asyncapi.FOLDER}/*.yaml", "schemas/*.json")


def contents(system: System, topology: Topology, directory: Path) -> dict[Path, str | None]:
    """The contracts below `directory`; those of what no longer exists are to go.

    Raises:
        UsageError: an example that one of them declares does not keep it.
    """
    for spec in topology.events:
        made_up(spec)
    found: dict[Path, str | None] = {
        directory / asyncapi.INDEX: as_yaml(asyncapi.index(system, topology)),
        directory / PERMISSIONS: _NOTE + "\n" + listing(topology),
    }
    for service in topology.services:
        document = asyncapi.of_service(service, topology)
        found[directory / asyncapi.path_of(service)] = as_yaml(document)
    for spec in topology.events:
        found[directory / "schemas" / f"{spec.subject}.json"] = schema_file(spec)
    there = sorted(path for pattern in _GENERATED for path in directory.glob(pattern))
    return found | {path: None for path in there if path not in found}


def schema_file(spec: EventSpec) -> str:
    """The JSON Schema of an event as a file of ours."""
    return json.dumps(json_schema(spec), indent=2, ensure_ascii=False) + "\n"


def as_yaml(document: dict[str, Any]) -> str:
    """A document as a file of ours."""
    text = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)
    return _NOTE + text


class _Plain(yaml.SafeDumper):
    """Without anchors: people compare these files line by line."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True
