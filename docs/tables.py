"""The tables that these pages take from the code; `make docs` writes them.

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from unittest.mock import MagicMock

import yaml
from msgspec import NODEFAULT, Struct, to_builtins
from msgspec.structs import fields

from jetmesh.declare.derive import derive
from jetmesh.declare.duration import Duration
from jetmesh.declare.policy import Policy
from jetmesh.declare.topology import StreamTuning
from jetmesh.operate.doctor.diagnosis import AREAS
from jetmesh.operate.schemas import field_docstrings
from jetmesh.privacy.sensitive import marked_names
from jetmesh.protocol.streams import AUDIT, DEADLETTERS, LANES, REFUSALS
from jetmesh.runtime.prometheus import ServiceCollector
from jetmesh.settings.tree import Settings
from shop.system import system as shop

DOCS: Final = Path(__file__).parent
PRODUCTION: Final = DOCS.parent / "deploy/k8s/overlays/production/values.yaml"
_HANDLING: Final = "each service, about its own handlers"
_WRITING: Final = {AUDIT: "the operator's commands"}
_READING: Final = {
    DEADLETTERS: "people, with `jetmesh deadletters`",
    REFUSALS: "people",
    AUDIT: "the operator, with `jetmesh audit`",
    LANES: "its service alone",
}
_SENSITIVE_OF_OURS: Final = {
    DEADLETTERS: "all that the message had",
    REFUSALS: "nothing",
    AUDIT: "nothing",
    LANES: "all that the message had",
}
_table = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_variable = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")


def policy() -> Iterator[str]:
    """Every field of a handler's policy."""
    yield from _rows(("field", "default", "meaning"), _fields(Policy))


def settings() -> Iterator[str]:
    """Every setting; those of handlers and streams have tables of their own."""
    yield from _rows(("setting", "default", "meaning"), _fields(Settings))


def streams() -> Iterator[str]:
    """Every setting of a stream."""
    yield from _rows(("field", "default", "meaning"), _fields(StreamTuning))


def metrics() -> Iterator[str]:
    """Every metric of a service."""
    rows = []
    for family in ServiceCollector("", [], [], MagicMock(), bool).collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(family._labelnames)  # type: ignore[attr-defined]  # noqa: SLF001 - the only place that names them while there are no samples
        rows.append((f"`{name}`", family.type, labels, family.documentation))
    yield from _rows(("metric", "type", "labels", "meaning"), rows)


def findings() -> Iterator[str]:
    """Every kind of finding, under a heading for each area."""
    for area in AREAS:
        yield f"### {area.title}\n"
        rows = [
            (
                f"`{kind.code}`",
                kind.severity,
                *map(_marked_up, (kind.sentence, kind.condition, kind.remedy)),
            )
            for kind in area.kinds
        ]
        yield from _rows(("finding", "severity", "what it says", "when", "remedy"), rows)
        yield ""


def stored() -> Iterator[str]:
    """What the streams of the shop hold in clear, how long in production, and for whom."""
    topology = derive(shop.load())
    kept = yaml.safe_load(PRODUCTION.read_text(encoding="utf-8"))["streams"]
    rows = {}
    for stream in topology.streams:
        events = [spec for spec in topology.events if spec.stream == stream.name]
        marked = {f"`{n}`": 0 for spec in events for n in marked_names(spec.type)}
        is_lane = stream.section != stream.name
        rows[stream.section] = (
            f"`{LANES}_<service>`" if is_lane else f"`{stream.name}`",
            _listed(f"`{spec.subject}`" for spec in events)
            or stream.description.removesuffix(f" of {stream.name.partition('_')[2]}"),
            _listed(marked) or _SENSITIVE_OF_OURS.get(stream.section, "nothing"),
            kept.get(stream.name, {}).get(
                "maxAge", "until it is handled" if is_lane else "for ever"
            ),
            _listed(s for spec in events for s in topology.sources(spec))
            or _WRITING.get(stream.section, _HANDLING),
            _listed(r.partition(".")[0] for spec in events for r in topology.readers(spec))
            or _READING.get(stream.section)
            or _listed({topology.owners[spec] for spec in events}),
        )
    heads = ("stream", "holds", "sensitive, in clear", "kept", "written by", "read by")
    yield from _rows(heads, rows.values())


TABLES: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    table.__name__: table for table in (policy, settings, streams, metrics, findings, stored)
}


def renewed(page: str) -> str:
    """The text of a page with its tables as the code has them now."""
    return _table.sub(
        lambda at: f"{at[1]}\n" + "\n".join(TABLES[at[2]]()).rstrip() + f"\n\n{at[3]}", page
    )


def stale() -> list[Path]:
    """The pages that `make docs` would change."""
    return [page for page in DOCS.glob("*.md") if renewed(page.read_text()) != page.read_text()]


def _listed(several: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(several))


def _rows(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _fields(struct: type[Struct], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    texts = field_docstrings(struct)
    for each in fields(struct):
        name = f"{prefix}{each.encode_name}"
        if isinstance(each.type, type) and issubclass(each.type, Struct):
            yield from _fields(each.type, f"{name}.")
        else:
            value = each.default if each.default is not NODEFAULT else each.default_factory()
            yield f"`{name}`", f"`{_written(value)}`", " ".join(texts[each.name].split())


def _written(value: Any) -> str:
    return json.dumps(str(value) if isinstance(value, Duration) else to_builtins(value))


def _marked_up(text: str) -> str:
    """Words that a finding fills in as variables, inside code as they are typed."""
    parts = text.split("`")
    parts[::2] = [_variable.sub(r"*\1*", part) for part in parts[::2]]
    parts[1::2] = [_variable.sub(lambda found: found[1].upper(), part) for part in parts[1::2]]
    return "`".join(parts).replace("{{", "{").replace("}}", "}")


if __name__ == "__main__":
    for changed in stale():
        changed.write_text(renewed(changed.read_text()), encoding="utf-8")
        sys.stdout.write(f"Wrote {changed}.\n")
