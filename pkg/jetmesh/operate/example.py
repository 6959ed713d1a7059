"""Examples of events: put together from those that contracts declare, and from their types."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import uuid4

import msgspec
from msgspec import inspect

from jetmesh.declare import EventSpec, Topology
from jetmesh.errors import ContractViolation, UsageError
from jetmesh.operate.publish import Checked, check
from jetmesh.operate.schemas import inside

_Leaf: TypeAlias = Callable[[inspect.Type, str], Any]
"""The value of a type that has no parts or offers several types; it is told where that stands."""
_PLAIN: Final[dict[type, Any]] = {
    inspect.AnyType: "anything",
    inspect.BoolType: True,
    inspect.BytesType: "AAAA",
    inspect.DateTimeType: "2026-01-01T12:00:00Z",
    inspect.DateType: "2026-01-01",
    inspect.DecimalType: "1.00",
    inspect.NoneType: None,
    inspect.StrType: "text",
    inspect.TimeType: "12:00:00Z",
    inspect.TimeDeltaType: "PT1M",
    inspect.UUIDType: "00000000-0000-4000-8000-000000000001",
}


def from_outside(topology: Topology) -> list[EventSpec]:
    """The events that somebody else publishes and a handler or a read model here takes."""
    return [spec for spec in topology.from_outside if topology.readers(spec)]


def example(spec: EventSpec) -> dict[str, Any]:
    """The event as JSON has it: of each field its first example, else nothing if it has a default.

    Raises:
        UsageError: a field has neither; or the examples do not keep the contract.
    """
    kind = inspect.type_info(spec.type)
    return _checked(spec, _value(kind, partial(_nothing, spec), declared=True))


def made_up(spec: EventSpec) -> dict[str, Any] | None:
    """The event of all examples that are declared, with the least of its type where there is none.

    None where that cannot be guessed.

    Raises:
        UsageError: an example that the contract declares does not keep it.
    """
    kind, guess = inspect.type_info(spec.type), partial(_guess, spec)
    most = max((len(_examples_of(each)) for each in inside(kind)), default=0)
    try:
        first, *others = [
            _value(kind, guess, declared=True, nth=nth) for nth in range(max(most, 1))
        ]
        for other in others:
            _checked(spec, other)
        return _checked(spec, first)
    except NotImplementedError:
        return None
    except UsageError:
        if _keeps(spec, _value(kind, guess)):
            raise
        return None  # a guess is to blame, such as one of a text with a pattern


def unique_example(spec: EventSpec) -> tuple[str, Checked]:
    """The example about a key of its own, where the contract lets a text be one; and that key.

    Raises:
        UsageError: as for `example`.
    """
    value = example(spec)
    key = spec.key_name
    if key and isinstance(value.get(key), str):
        own = value | {key: f"example-{uuid4()}"}
        try:
            return own[key], check(spec, [msgspec.json.encode(own)])[0]
        except ContractViolation:
            pass  # a pattern, for instance
    [checked] = check(spec, [msgspec.json.encode(value)])
    return str(value.get(key, "")), checked


def _value(
    kind: inspect.Type, leaf: _Leaf, *, declared: bool = False, nth: int = 0, path: str = ""
) -> Any:
    """A value of `kind` with every part that it must have.

    With `declared` the first example that the contract declares wins, or the `nth` where there are
    so many, and a field that may be left out is there if it has one.
    """

    def below(part: inspect.Type, where: str) -> Any:
        return _value(part, leaf, declared=declared, nth=nth, path=where)

    value: Any
    match kind:
        case inspect.Metadata():
            given = _examples_of(kind) if declared else []
            value = given[min(nth, len(given) - 1)] if given else below(kind.type, path)
        case inspect.EnumType():
            value = next(iter(kind.cls)).value
        case inspect.LiteralType():
            value = kind.values[0]
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType():
            value = [below(kind.item_type, f"{path}[0]")]
        case inspect.DictType():
            value = {}
        case inspect.StructType():
            value = {kind.tag_field: kind.tag} if kind.tag_field else {}
            for each in kind.fields:
                if each.required or (declared and _examples_of(each.type)):
                    name = each.encode_name
                    value[name] = below(each.type, f"{path}.{name}".lstrip("."))
        case _:
            value = leaf(kind, path)
    return value


def _examples_of(kind: object) -> list[Any]:
    """Those that a type declares."""
    if isinstance(kind, inspect.Metadata):
        return list((kind.extra_json_schema or {}).get("examples", ())) or _examples_of(kind.type)
    return []


def _nothing(spec: EventSpec, kind: inspect.Type, path: str) -> Any:
    """Null or a key; anything else has to be declared."""
    if isinstance(kind, inspect.UnionType) and any(
        isinstance(each, inspect.NoneType) for each in kind.types
    ):
        return None
    if _is_key(spec, kind, path):
        return "example-1"
    raise UsageError(
        f"{spec.name}.{path} has neither an example nor a default, so {spec.subject} has "
        "no example.",
        remedy='Declare one: Annotated[…, Meta(examples=["…"])].',
    )


def _guess(spec: EventSpec, kind: inspect.Type, path: str) -> Any:
    return "example-1" if _is_key(spec, kind, path) else _least(kind, path)


def _is_key(spec: EventSpec, kind: inspect.Type, path: str) -> bool:
    return isinstance(kind, inspect.StrType) and path == spec.key_name


def _least(kind: inspect.Type, path: str) -> Any:
    """The least value of a type without parts; of several types, of the first that is not null.

    Raises:
        NotImplementedError: it cannot be guessed.
    """
    if isinstance(kind, inspect.UnionType):
        some = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
        return _value(some, _least, path=path)
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        lowest = kind.ge if kind.ge is not None else (kind.gt or 0) + 1
        return int(lowest) if isinstance(kind, inspect.IntType) else float(lowest)
    if type(kind) in _PLAIN:
        return _PLAIN[type(kind)]
    raise NotImplementedError(kind)


def _keeps(spec: EventSpec, value: dict[str, Any]) -> bool:
    try:
        check(spec, [msgspec.json.encode(value)])
    except ContractViolation:
        return False
    return True


def _checked(spec: EventSpec, value: dict[str, Any]) -> dict[str, Any]:
    try:
        check(spec, [msgspec.json.encode(value)])
    except ContractViolation as error:
        raise UsageError(
            f"The examples in {spec.name} are none: {error.message}", remedy="Correct them."
        ) from error
    return value
