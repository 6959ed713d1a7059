"""A value of a type, as JSON has it: what every example of a contract is put together from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec import inspect

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


def sample(
    kind: inspect.Type,
    leaf: Callable[[inspect.Type, str], Any],
    *,
    declared: bool = False,
    nth: int = 0,
    path: str = "",
) -> Any:
    """A value of `kind` with every part that it must have.

    `leaf` gives it for a type that has no parts, or offers several types; it is told where that
    stands. With `declared` the first example that the contract declares wins, or the `nth` where
    there are so many, and a field that may be left out is there if it has one.
    """

    def below(part: inspect.Type, where: str) -> Any:
        return sample(part, leaf, declared=declared, nth=nth, path=where)

    value: Any
    match kind:
        case inspect.Metadata():
            given = examples_of(kind) if declared else []
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
                if each.required or (declared and examples_of(each.type)):
                    name = each.encode_name
                    value[name] = below(each.type, f"{path}.{name}".lstrip("."))
        case _:
            value = leaf(kind, path)
    return value


def least(kind: inspect.Type, path: str) -> Any:
    """The least value of a type without parts; of several types, of the first that is not null.

    Raises:
        NotImplementedError: it cannot be guessed.
    """
    if isinstance(kind, inspect.UnionType):
        some = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
        return sample(some, least, path=path)
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        lowest = kind.ge if kind.ge is not None else (kind.gt or 0) + 1
        return int(lowest) if isinstance(kind, inspect.IntType) else float(lowest)
    if type(kind) in _PLAIN:
        return _PLAIN[type(kind)]
    raise NotImplementedError(kind)


def declared_in(kind: inspect.Type) -> Iterator[list[Any]]:
    """The examples that a type declares, and those of all that is inside it."""
    waiting: list[Any] = [kind]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, (inspect.Type, inspect.Field)) and id(node) not in seen:
            seen.add(id(node))
            if isinstance(node, inspect.Metadata):
                yield examples_of(node)
            parts = [getattr(node, name) for name in node.__struct_fields__]
            waiting += [p for part in parts for p in (part if isinstance(part, tuple) else (part,))]


def examples_of(kind: inspect.Type) -> list[Any]:
    """Those that the type declares."""
    if isinstance(kind, inspect.Metadata):
        return list((kind.extra_json_schema or {}).get("examples", ())) or examples_of(kind.type)
    return []
