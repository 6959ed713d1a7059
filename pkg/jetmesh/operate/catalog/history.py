"""The versions of an event: what was released, what is declared, and what each step changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jetmesh.declare.event import EventSpec
from jetmesh.operate.catalog.fields import Row, rows
from jetmesh.operate.evolution.released import Release
from jetmesh.operate.schemas import description_of, json_schema


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an event that may be stored."""

    name: str
    """`2`, or `1.1` for what was released as a compatible change of version 1."""
    is_today: bool
    """It is what is declared, and so what is published."""
    is_released: bool
    upcaster: str
    """What makes the next version of it; empty where none is needed."""
    text: str
    """What that does."""
    changes: Sequence[str]
    """What differs from the one before, a field each; nothing where that is not known."""


def history(spec: EventSpec, releases: Sequence[Release]) -> list[Version]:
    """The newest first; what no release says is known by its number alone."""
    found = [(each.version, str(each.name), rows_of(each.schema), True) for each in releases]
    today = rows_of(json_schema(spec))
    is_as_released = bool(
        found and found[-1][0] == spec.version and not list(changes(found[-1][2], today))
    )
    if not is_as_released:
        found.append((spec.version, str(spec.version), today, False))
    known = {version for version, *_ in found}
    found += [(n, str(n), [], False) for n in range(spec.oldest, spec.version) if n not in known]
    found.sort(key=lambda each: each[0])
    versions: list[Version] = []
    before: Sequence[Row] = ()
    for number, name, fields, is_released in found:
        upcaster = spec.upcasters.get(number)
        versions.append(
            Version(
                name=name,
                is_today=number == spec.version and fields == found[-1][2],
                is_released=is_released,
                upcaster=upcaster.name if upcaster else "",
                text=description_of(upcaster.function).partition("\n")[0] if upcaster else "",
                changes=tuple(changes(before, fields)) if before and fields else (),
            )
        )
        before = fields
    return versions[::-1]


def rows_of(schema: Mapping[str, Any]) -> list[Row]:
    """The fields that a JSON Schema of ours describes, which is complete in itself."""
    return rows("", {**schema.get("$defs", {}), "": schema})


def changes(before: Sequence[Row], after: Sequence[Row]) -> Iterator[str]:
    """What changed between two shapes, but for words."""
    old, new = ({row.path: row for row in shape} for shape in (before, after))
    for path in old:
        if path not in new:
            yield f"without {path}"
    for path, row in new.items():
        if path not in old:
            yield f"with {path} ({row.terms})"
        elif old[path].terms != row.terms:
            yield f"{path}: {old[path].terms}, now {row.terms}"
