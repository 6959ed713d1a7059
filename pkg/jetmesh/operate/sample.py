"""A value of a type, as JSON has it: what every example of a contract is put together from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import inspect


def sample(
    kind: inspect.Type,
    leaf: Callable[[inspect.Type, str], Any],
    *,
    declared: bool = False,
    path: str = "",
) -> Any:
    """A value of `kind` with every part that it must have.

    `leaf` gives it for a type that has no parts, or offers several types; it is told where that
    stands. With `declared` the first example that the contract declares wins, and a field that may
    be left out is there if it has one.
    """

    def below(part: inspect.Type, where: str) -> Any:
        return sample(part, leaf, declared=declared, path=where)

    value: Any
    match kind:
        case inspect.Metadata():
            given = _examples(kind) if declared else []
            value = given[0] if given else below(kind.type, path)
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
                if each.required or (declared and _examples(each.type)):
                    name = each.encode_name
                    value[name] = below(each.type, f"{path}.{name}".lstrip("."))
        case _:
            value = leaf(kind, path)
    return value


def _examples(kind: inspect.Type) -> list[Any]:
    """Those that the type declares."""
    if isinstance(kind, inspect.Metadata):
        return list((kind.extra_json_schema or {}).get("examples", ())) or _examples(kind.type)
    return []
