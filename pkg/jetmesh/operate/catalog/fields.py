"""The fields of an event as people read them, taken from its published schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_Schema = Mapping[str, Any]
_FORMATS: Final = {
    "date-time": "time",
    "time": "time of day",
    "duration": "duration",
    "date": "date",
    "uuid": "UUID",
    "decimal": "decimal",
}
_LIMITS: Final = (
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"),
    ("multipleOf", "a multiple of {}"),
)
_COUNTS: Final = (("Length", "characters"), ("Items", "of them"), ("Properties", "of them"))


@dataclass(frozen=True, slots=True)
class Row:
    """One field, at any depth."""

    path: str
    """`items[].sku`, as in `items`, which is a list; `prices{}` is what a dictionary holds."""
    kind: str
    is_required: bool
    default: str
    """As JSON; empty when nothing is said."""
    text: str
    is_sensitive: bool
    limits: tuple[str, ...]
    values: tuple[str, ...]
    """Those of an enumeration."""
    examples: tuple[str, ...]

    @property
    def terms(self) -> str:
        """All that a reader may rely on, in words."""
        may = "" if self.is_required else f"default {self.default}" if self.default else "optional"
        kind = f"{self.kind} {', '.join(self.values)}" if self.values else self.kind
        return "; ".join(filter(None, (kind, may, *self.limits)))

    @property
    def depth(self) -> int:
        return self.path.count(".")

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


def rows(name: str, schemas: Mapping[str, _Schema]) -> list[Row]:
    """The fields of the type called `name`, each followed by those inside it."""
    return list(_fields(name, schemas, "", (name,)))


def reference(schema: _Schema) -> str:
    """The name of the type that a schema refers to, else nothing."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _fields(
    name: str, schemas: Mapping[str, _Schema], above: str, inside: tuple[str, ...]
) -> Iterator[Row]:
    schema = schemas[name]
    required = schema.get("required", ())
    for field, described in schema.get("properties", {}).items():
        path = f"{above}{field}"
        yield _row(path, described, schemas, is_required=field in required)
        for suffix, inner in _inner(described, schemas):
            if inner not in inside:  # a type may hold itself
                yield from _fields(inner, schemas, f"{path}{suffix}.", (*inside, inner))


def _row(path: str, schema: _Schema, schemas: Mapping[str, _Schema], *, is_required: bool) -> Row:
    target = schemas.get(reference(schema), {})
    return Row(
        path=path,
        kind=_kind(schema, schemas),
        is_required=is_required,
        default=_json(schema["default"]) if "default" in schema else "",
        text=str(schema.get("description") or target.get("description", "")),
        is_sensitive=bool(schema.get("x-sensitive")),
        limits=tuple(_limits(schema)),
        values=tuple(_values(target or schema)),
        examples=tuple(map(_json, schema.get("examples", ()))),
    )


def _inner(schema: _Schema, schemas: Mapping[str, _Schema]) -> Iterator[tuple[str, str]]:
    """The types with fields inside a field, each with what its path has after the field's name."""
    name = reference(schema)
    if name and "properties" in schemas[name]:
        yield "", name
    for option in schema.get("anyOf", ()):
        yield from _inner(option, schemas)
    if isinstance(items := schema.get("items"), Mapping):
        yield from ((f"[]{suffix}", inner) for suffix, inner in _inner(items, schemas))
    for item in schema.get("prefixItems", ()):
        yield from ((f"[]{suffix}", inner) for suffix, inner in _inner(item, schemas))
    if isinstance(values := schema.get("additionalProperties"), Mapping):
        yield from ((f"{{}}{suffix}", inner) for suffix, inner in _inner(values, schemas))


def _kind(schema: _Schema, schemas: Mapping[str, _Schema]) -> str:
    if name := reference(schema):
        return name if "properties" in schemas[name] else "one of"
    if options := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(_kind(each, schemas) for each in options))
    if items := schema.get("prefixItems"):
        return "list of " + ", ".join(_kind(each, schemas) for each in items)
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items') or {}, schemas)}"
    if isinstance(values := schema.get("additionalProperties"), Mapping):
        return f"map to {_kind(values, schemas)}"
    return _plain_kind(schema)


def _plain_kind(schema: _Schema) -> str:
    """Of what has nothing inside it."""
    if "enum" in schema or "const" in schema:
        return "one of"
    if "contentEncoding" in schema:
        return f"bytes in {schema['contentEncoding']}"
    known: str | None = _FORMATS.get(schema.get("format", ""))
    kinds: str | list[str] = known or schema.get("type", "anything")
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


def _values(schema: _Schema) -> Iterator[str]:
    if "const" in schema:
        yield _json(schema["const"])
    yield from map(_json, schema.get("enum", ()))
    options = schema.get("anyOf", ())
    if any("enum" in each for each in options):  # an enumeration that reads what it does not know
        yield from (_json(value) for each in options for value in each.get("enum", ()))
        yield "any other"


def _limits(schema: _Schema) -> Iterator[str]:
    for keyword, text in _LIMITS:
        if keyword in schema:
            yield text.format(schema[keyword])
    for what, counted in _COUNTS:
        least, most = schema.get(f"min{what}", 0), schema.get(f"max{what}")
        if most is not None:
            yield f"{least} to {most} {counted}"
        elif least:
            yield f"at least {least} {counted}"
    if "pattern" in schema and schema.get("format") != "decimal":
        yield f"matches {schema['pattern']}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
