"""Which values of an event are sensitive: found by its types, however deep they are marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.inspect import (
    CollectionType,
    DataclassType,
    DictType,
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

_Record: TypeAlias = StructType | DataclassType | NamedTupleType | TypedDictType
_RECORDS: Final = (StructType, DataclassType, NamedTupleType, TypedDictType)


def sensitive_values(event: Any, contract: type[msgspec.Struct] | None = None) -> Iterator[str]:
    """Every text in a field that is marked sensitive, however deep.

    With `contract` the event is what its JSON says, read without it.
    """
    kind = contract or type(event)
    if issubclass(kind, msgspec.Struct):
        yield from _walk(event, _type_of(kind))


def _walk(value: Any, kind: Type) -> Iterator[str]:
    if isinstance(kind, Metadata):
        marked = (kind.extra or {}).get("sensitive")
        yield from _texts(value) if marked else _walk(value, kind.type)
    elif isinstance(kind, UnionType):
        for option in kind.types:
            yield from _walk(value, option)
    elif isinstance(kind, _RECORDS):
        yield from _walk_record(value, kind)
    elif isinstance(kind, DictType | FrozenDictType | TupleType | CollectionType):
        for each, item in _items(value, kind):
            yield from _walk(each, item)
    elif isinstance(value, msgspec.Struct):  # in a field that may hold anything
        yield from _walk(value, _type_of(type(value)))


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


def _walk_record(value: Any, kind: _Record) -> Iterator[str]:
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
        yield from _walk(each, field.type)


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
def _type_of(cls: type[msgspec.Struct]) -> Type:
    return type_info(cls)
