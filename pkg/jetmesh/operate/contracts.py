"""The published contracts: an AsyncAPI document, a JSON Schema per event, and who may do what.

They are kept with the code, so that what changes is a diff that people read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import yaml

from jetmesh.declare.system import System
from jetmesh.declare.topology import Topology
from jetmesh.operate.asyncapi import document
from jetmesh.operate.identities import listing
from jetmesh.operate.schemas import json_schema

_NOTE: Final = "# Written by `jetmesh contracts` from the declarations: change those, not this.\n"
PERMISSIONS: Final = "permissions.txt"


def contents(system: System, topology: Topology, directory: Path) -> dict[Path, str | None]:
    """The contracts below `directory`; schemas of events that no longer exist are to go."""
    described = document(system, topology)
    text = yaml.dump(described, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)
    found: dict[Path, str | None] = {
        directory / "asyncapi.yaml": _NOTE + text,
        directory / PERMISSIONS: _NOTE + "\n" + listing(topology),
    }
    for spec in topology.events:
        schema = json.dumps(json_schema(spec), indent=2, ensure_ascii=False)
        found[directory / "schemas" / f"{spec.subject}.json"] = f"{schema}\n"
    schemas = sorted((directory / "schemas").glob("*.json"))
    return found | {path: None for path in schemas if path not in found}


class _Plain(yaml.SafeDumper):
    """Without anchors: people compare these files line by line."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True
