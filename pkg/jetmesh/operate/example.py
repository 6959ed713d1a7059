"""An example of an event, made of the examples that its contract declares."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

import msgspec
from msgspec import inspect

from jetmesh.declare import EventSpec, Topology
from jetmesh.errors import ContractViolation, UsageError
from jetmesh.operate.publish import Checked, check

_REMEDY: Final = 'Declare one: Annotated[…, Meta(examples=["…"])].'


def from_outside(topology: Topology) -> list[EventSpec]:
    """The events that somebody else publishes and a handler or a read model here takes."""
    return [
        spec for spec in topology.events if spec not in topology.owners and topology.readers(spec)
    ]


def example(spec: EventSpec) -> dict[str, Any]:
    """The event as JSON has it: of each field its first example, else nothing if it has a default.

    Raises:
        UsageError: a field has neither; or the examples do not keep the contract.
    """
    value = _struct(inspect.type_info(spec.type), "", spec)
    try:
        check(spec, [msgspec.json.encode(value)])
    except ContractViolation as error:
        raise UsageError(
            f"The examples in {spec.name} are none: {error.message}", remedy="Correct them."
        ) from error
    return value


def unique_example(spec: EventSpec) -> tuple[str, Checked]:
    """The example about a key of its own, where the contract lets a text be one; and that key.

    Raises:
        UsageError: as for `example`.
    """
    value = example(spec)
    key = _key_name(spec)
    if key and isinstance(value.get(key), str):
        own = value | {key: f"example-{uuid4()}"}
        try:
            return own[key], check(spec, [msgspec.json.encode(own)])[0]
        except ContractViolation:
            pass  # a pattern, for instance
    [checked] = check(spec, [msgspec.json.encode(value)])
    return str(value.get(key, "")), checked


def _key_name(spec: EventSpec) -> str:
    fields = msgspec.structs.fields(spec.type)
    return next((f.encode_name for f in fields if f.name == spec.key), "")


def _struct(kind: Any, path: str, spec: EventSpec) -> dict[str, Any]:
    value: dict[str, Any] = {kind.tag_field: kind.tag} if kind.tag_field else {}
    for field in kind.fields:
        given = _given(field.type)
        if given or field.required:
            below = f"{path}.{field.encode_name}".lstrip(".")
            value[field.encode_name] = given[0] if given else _value(field.type, below, spec)
    return value


def _given(kind: inspect.Type) -> list[Any]:
    """The examples that the type declares."""
    if isinstance(kind, inspect.Metadata):
        return list((kind.extra_json_schema or {}).get("examples", ())) or _given(kind.type)
    return []


def _value(kind: inspect.Type, path: str, spec: EventSpec) -> Any:
    value: Any
    match kind:
        case inspect.Metadata():
            given = _given(kind)
            value = given[0] if given else _value(kind.type, path, spec)
        case inspect.EnumType():
            value = next(iter(kind.cls)).value
        case inspect.LiteralType():
            value = kind.values[0]
        case inspect.UnionType() if any(isinstance(t, inspect.NoneType) for t in kind.types):
            value = None
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType():
            value = [_value(kind.item_type, f"{path}[0]", spec)]
        case inspect.DictType():
            value = {}
        case inspect.StructType():
            value = _struct(kind, path, spec)
        case inspect.StrType() if path == _key_name(spec):
            value = "example-1"
        case _:
            raise UsageError(
                f"{spec.name}.{path} has neither an example nor a default, so {spec.subject} has "
                "no example.",
                remedy=_REMEDY,
            )
    return value
