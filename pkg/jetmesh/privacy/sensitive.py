"""Which values of an event are sensitive: found by its types, however deep they are marked.

Data that does not have the shape of its contract is searched for the names of marked fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.inspect import (
    CollectionType,
    DataclassType,
    DictType,
    Field,
    FrozenDictType,
    Metadata,
    NamedTupleType,
    StructType,
    TupleType,
    Type,
    TypedDictType,
    UnionType,
    type_info,
)

from jetmesh.privacy.readable import within

_Record: TypeAlias = StructType | DataclassType | NamedTupleType | TypedDictType
_RECORDS: Final = (StructType, DataclassType, NamedTupleType, TypedDictType)
_MOST_NODES: Final = 100_000
"""Of data so many parts are looked at: a message must not buy seconds."""


_Fields: TypeAlias = Mapping[str, tuple[Type, ...]]
"""Fields that are marked, or hold what is marked, by their plain names."""


def sensitive_values(event: Any, *contracts: type[msgspec.Struct]) -> Iterator[str]:
    """Every text in a field that is marked sensitive, however deep, and wherever it strayed to.

    With `contracts` the event is data that was read without them: what they mark is looked for in
    its place, and by the name of its field anywhere else, as in an envelope or in a JSON string.
    """
    if isinstance(event, msgspec.Struct):
        yield from _walk(event, _type_of(type(event)), _fields_of((type(event),)))
        return
    fields = _fields_of(contracts)
    for contract in contracts:
        yield from _walk(event, _type_of(contract), fields)
    yield from _by_name(event, fields)


def is_sensitive(name: str, contracts: Sequence[type[msgspec.Struct]]) -> bool:
    """Whether one of the contracts marks a field of that name, however it is spelled."""
    return plain(name) in _fields_of(tuple(contracts))


def names_sensitive(text: str, contracts: Sequence[type[msgspec.Struct]]) -> bool:
    """Whether the name of a field that is marked stands in a text."""
    words = plain(text)
    return any(name in words for name in _fields_of(tuple(contracts)))


def marked_names(contract: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields that a contract marks, at any depth, by the names that are on the wire."""
    return tuple(dict.fromkeys(field.encode_name for field in _marked_in((contract,))))


def plain(name: str) -> str:
    """A name without what spellings differ in: `paymentToken` and `payment_token` are one."""
    return "".join(filter(str.isalnum, name)).casefold()


def _walk(value: Any, kind: Type, fields: _Fields) -> Iterator[str]:
    if isinstance(kind, Metadata):
        marked = (kind.extra or {}).get("sensitive")
        yield from _texts(value) if marked else _walk(value, kind.type, fields)
    elif isinstance(kind, UnionType):
        for option in kind.types:
            yield from _walk(value, option, fields)
    elif isinstance(kind, _RECORDS):
        yield from _walk_record(value, kind, fields)
    elif isinstance(kind, DictType | FrozenDictType | TupleType | CollectionType):
        for each, item in _items(value, kind):
            yield from _walk(each, item, fields)
    elif isinstance(value, msgspec.Struct):  # in a field that may hold anything
        yield from _walk(value, _type_of(type(value)), fields)
    else:
        yield from _by_name(value, fields)


def _by_name(value: Any, fields: _Fields) -> Iterator[str]:
    """What stands under the name of a marked field, at any depth of data without a contract."""
    waiting, seen = [value], 0
    while waiting and fields:
        each = waiting.pop()
        seen += 1
        if seen > _MOST_NODES:
            raise RecursionError("too much to look through")
        if isinstance(each, str):
            each = within(each)
        if isinstance(each, Mapping):
            for name, inner in each.items():
                for kind in fields.get(plain(name), ()) if isinstance(name, str) else ():
                    yield from _walk(inner, kind, {})
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple):
            waiting += each


def _items(
    value: Any, kind: DictType | FrozenDictType | TupleType | CollectionType
) -> Iterator[tuple[Any, Type]]:
    """What a collection holds, each with its type."""
    if isinstance(kind, DictType | FrozenDictType):
        for name, each in value.items() if isinstance(value, Mapping) else ():
            yield name, kind.key_type
            yield each, kind.value_type
    elif isinstance(value, list | tuple | set | frozenset):
        if isinstance(kind, TupleType):
            yield from zip(value, kind.item_types, strict=False)
        else:
            for each in value:
                yield each, kind.item_type


def _walk_record(value: Any, kind: _Record, fields: _Fields) -> Iterator[str]:
    if isinstance(kind, StructType):
        if isinstance(value, msgspec.Struct) and not isinstance(value, kind.cls):
            return  # of a union: another option is the value's
        if isinstance(value, list):  # written as an array, perhaps behind its tag
            value = value[kind.tag is not None :]
            value = {f.encode_name: each for f, each in zip(kind.fields, value, strict=False)}
    for field in kind.fields:
        if isinstance(value, Mapping):
            each = value.get(field.encode_name)
        else:
            each = getattr(value, field.name, None)
        yield from _walk(each, field.type, fields)


def _texts(value: Any) -> Iterator[str]:
    """Every text and number in a value that is sensitive as a whole."""
    if isinstance(value, msgspec.Struct):
        value = [getattr(value, name, None) for name in value.__struct_fields__]
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _texts(each)
    elif value is not None and not isinstance(value, bool) and str(value).strip():
        yield str(value)


@cache
def _fields_of(contracts: tuple[type[msgspec.Struct], ...]) -> _Fields:
    """The fields in `contracts`, and in all that they hold, that are marked or hold such a mark."""
    found: dict[str, tuple[Type, ...]] = {}
    for field in _marked_in(contracts):
        for name in {plain(field.name), plain(field.encode_name)}:
            found[name] = (*found.get(name, ()), field.type)
    return found


def _marked_in(contracts: Sequence[type[msgspec.Struct]]) -> Iterator[Field]:
    waiting: list[Any] = [_type_of(contract) for contract in contracts]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        waiting += _inside(node)
        if isinstance(node, Field) and _has_mark(node.type):
            yield node


def _has_mark(kind: Type) -> bool:
    """Whether a value of the type is sensitive, or a part of it that is no record of its own."""
    if isinstance(kind, Metadata) and (kind.extra or {}).get("sensitive"):
        return True
    return not isinstance(kind, _RECORDS) and any(map(_has_mark, _inside(kind)))


def _inside(node: Any) -> list[Any]:
    """The types and fields of which a type consists."""
    values = [getattr(node, name) for name in node.__struct_fields__]
    parts = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
    return [part for part in parts if isinstance(part, Type | Field)]


@cache
def _type_of(cls: type[msgspec.Struct]) -> Type:
    return type_info(cls)
