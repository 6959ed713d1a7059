"""The values of a chart as one tree: each with its default, its schema and what it means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeAlias, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields

from jetmesh.declare.duration import Duration
from jetmesh.operate.schemas import description_of, field_docstrings

DURATION: Final = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"}
"""The units are required: nobody can tell what a bare number meant."""
POSITIVE_DURATION: Final = {
    "type": "string",
    "pattern": r"^([0-9]*[1-9][0-9]*(\.[0-9]+)?|0+\.[0-9]*[1-9][0-9]*)(ms|s|m|h|d)$",
}


@dataclass(frozen=True, slots=True)
class Value:
    """One value."""

    default: Any
    schema: dict[str, Any]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Values under one name."""

    values: dict[str, Node]
    text: str = ""

    def leaves(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Value]]:
        """Every value with its path."""
        for name, node in self.values.items():
            if isinstance(node, Group):
                yield from node.leaves((*path, name))
            else:
                yield (*path, name), node


Node: TypeAlias = Value | Group


def camel(name: str) -> str:
    """`max_ack_pending` as charts write it: `maxAckPending`. Nothing leads back: see `facts`."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def group_of(
    struct: type[Struct],
    *,
    defaults: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
    text: str = "",
    spell: Callable[[str], str] = camel,
) -> Group:
    """The fields of `struct` as values; a field that is a Struct is a group of its own.

    `defaults` and `texts` go by field names and win over what the Struct says. `spell` makes a
    value's name of a field's.
    """
    written = {**field_docstrings(struct), **(texts or {})}
    values: dict[str, Node] = {}
    for f in fields(struct):
        default = (defaults or {}).get(f.name, _default(f))
        said = " ".join(written.get(f.name, "").split()) or _description(f.type)
        if isinstance(f.type, type) and issubclass(f.type, Struct):
            given = msgspec.structs.asdict(default) if isinstance(default, Struct) else default
            said = said or description_of(f.type)
            node: Node = group_of(f.type, defaults=given, text=said, spell=spell)
        else:
            node = Value(plain(default), schema_of(f.type), said)
        values[spell(f.encode_name)] = node
    return Group(values, text)


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON Schema of a type; what may be None may only be left out."""
    schema = msgspec.json.schema(_without_none(kind), schema_hook=_duration_schema)
    schema.pop("description", None)
    names = schema.pop("propertyNames", {})
    if "pattern" in names:  # helm names another path when propertyNames refuses
        values = schema.pop("additionalProperties")
        schema |= {"patternProperties": {names["pattern"]: values}, "additionalProperties": False}
    return _with_numbers(schema)


def _with_numbers(schema: dict[str, Any]) -> dict[str, Any]:
    """Decimals may be written as numbers, too, as settings read them."""
    found = {k: _with_numbers(v) if isinstance(v, dict) else v for k, v in schema.items()}
    return found | ({"type": ["string", "number"]} if found.get("format") == "decimal" else {})


def plain(value: Any) -> Any:
    """`value` as YAML holds it."""
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return msgspec.to_builtins(value)


def _default(f: FieldInfo) -> Any:
    if f.default is not NODEFAULT:
        return f.default
    return "" if f.default_factory is NODEFAULT else f.default_factory()


def _description(kind: Any) -> str:
    found = (getattr(extra, "description", None) for extra in get_args(kind)[1:])
    return next(filter(None, found), "") if get_origin(kind) is Annotated else ""


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, UnionType):
        left = tuple(each for each in get_args(kind) if each is not NoneType)
        return Union[left]  # noqa: UP007 - its members are known only now
    return kind


def _duration_schema(kind: type) -> dict[str, Any]:
    if kind is not Duration:
        raise NotImplementedError
    return dict(DURATION)
