"""The files of the catalog: pages from templates, and what they link to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jetmesh.extras import require

if TYPE_CHECKING:
    from jinja2 import Environment

from jetmesh.declare.system import System
from jetmesh.declare.topology import Topology
from jetmesh.operate import asyncapi
from jetmesh.operate.catalog.drawing import draw
from jetmesh.operate.catalog.entries import Entry, entries, services
from jetmesh.operate.contracts import as_yaml, schema_file
from jetmesh.operate.evolution.released import Released

MARK: Final = '<meta name="generator" content="jetmesh contracts">'
"""In every page, so that one is known for ours."""
_TEMPLATES: Final = Path(__file__).parent / "templates"


def pages(system: System, topology: Topology, released: Released) -> dict[str, str]:
    """What each file of the catalog holds, by its path; the same declarations give the same bytes.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    found = entries(topology, released)
    shared = {
        "mark": MARK,
        "system": system,
        "entries": found,
        "services": services(topology, found),
        "is_releasing": bool(released),
    }
    templates = _environment()

    def page(template: str, **values: object) -> str:
        return templates.get_template(template).render(shared | values)

    files = {
        "index.html": page("index.html", drawing=draw(topology)),
        "style.css": (_TEMPLATES / "style.css").read_text(encoding="utf-8"),
        asyncapi.INDEX: as_yaml(asyncapi.index(system, topology)),
    }
    for entry in found:
        files[page_of(entry)] = page("event.html", entry=entry)
        files[f"schemas/{entry.spec.subject}.json"] = schema_file(entry.spec)
        for release in released.of_event(entry.spec.subject):
            schema = json.dumps(release.schema, indent=2, ensure_ascii=False) + "\n"
            files[f"released/{entry.spec.subject}/{release.name}.json"] = schema
    for service in topology.services:
        document = asyncapi.of_service(service, topology, complete=True)
        files[asyncapi.path_of(service)] = as_yaml(document)
    return files


def page_of(entry: Entry) -> str:
    """Where the page of an event is. No subject is `index`: each has two tokens."""
    return f"{entry.spec.subject}.html"


def _environment() -> Environment:
    require("cli", "The catalog of contracts", "jinja2")
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - as required

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
