"""A type put together again: it decodes as the one did that was described."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    NotRequired,
    Required,
    TypedDict,
    Union,
)
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from jetmesh.operate.evolution.descriptor import (
    DataclassShape,
    Descriptor,
    EnumShape,
    FieldShape,
    NamedTupleShape,
    Node,
    Shape,
    StructShape,
    TypedDictShape,
)

_PLAIN: Final[Mapping[str, Any]] = {
    "any": Any,
    "none": None,
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "bytes": bytes,
    "bytearray": bytearray,
    "datetime": dt.datetime,
    "date": dt.date,
    "time": dt.time,
    "timedelta": dt.timedelta,
    "memoryview": memoryview,
    "decimal": Decimal,
    "uuid": UUID,
    "raw": Raw,
}
_CONTAINERS: Final[Mapping[str, Callable[[tuple[Any, ...]], Any]]] = {
    "list": lambda of: list[of[0]],  # type: ignore[valid-type]  # made at run time
    "set": lambda of: set[of[0]],  # type: ignore[valid-type]  # made at run time
    "frozenset": lambda of: frozenset[of[0]],  # type: ignore[valid-type]  # made at run time
    "vartuple": lambda of: tuple[of[0], ...],  # type: ignore[valid-type]  # made at run time
    "tuple": lambda of: tuple[of] if of else tuple[()],  # type: ignore[valid-type]  # made at run time
    "dict": lambda of: dict[of[0], of[1]],  # type: ignore[valid-type]  # made at run time
    "union": lambda of: Union[of],  # noqa: UP007 - made at run time
}
_CONSTRAINTS: Final = (
    "gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "tz",
)  # fmt: skip


def rebuild(descriptor: Descriptor) -> Any:
    """The type that was described. Its `__post_init__` and the like are not there."""
    rebuilding = _Rebuilding(descriptor.types)
    return rebuilding.type(descriptor.root)


def rebuild_struct(descriptor: Descriptor) -> type[Struct]:
    """The Struct that was described, as each event is one."""
    found: type[Struct] = rebuild(descriptor)
    return found


class _Rebuilding:
    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self._shapes = shapes
        self._made: dict[str, Any] = {}

    def type(self, node: Node) -> Any:
        said = {name: getattr(node, name) for name in _CONSTRAINTS}
        said = {name: value for name, value in said.items() if value is not None}
        plain = self._bare(node)
        extra = {"sensitive": True} if node.sensitive else None
        return Annotated[plain, Meta(**said, extra=extra)] if said or extra else plain

    def _nested(self, node: Node) -> bool:
        """Whether it holds a type with fields, which may hold the one that is being made."""
        named = node.kind == "ref" and not isinstance(self._shapes[node.name], EnumShape)
        return named or any(self._nested(each) for each in node.of)

    def _bare(self, node: Node) -> Any:
        if node.kind == "ref":
            return self._named(node.name)
        if node.kind == "literal":
            return Literal[node.values]
        of = tuple(self.type(each) for each in node.of)
        return _CONTAINERS[node.kind](of) if node.kind in _CONTAINERS else _PLAIN[node.kind]

    def _named(self, name: str) -> Any:
        if name not in self._made:
            shape = self._shapes[name]
            if isinstance(shape, EnumShape):
                self._made[name] = _enum(name, shape)
                return self._made[name]
            defaults = [_Default(field) for field in shape.fields]
            for field, default in zip(shape.fields, defaults, strict=True):
                default.type = None if self._nested(field.type) else self.type(field.type)
            cls = self._made[name] = _make(name, shape, defaults)
            for field, default in zip(shape.fields, defaults, strict=True):
                default.type = self.type(field.type)
            # Its fields get their types now that it exists, so that it may contain itself.
            cls.__annotations__ = {
                field.name: _hint(shape, field, default.type)
                for field, default in zip(shape.fields, defaults, strict=True)
            }
            if isinstance(shape, NamedTupleShape):
                _give_defaults(cls, defaults)
        return self._made[name]


class _Default:
    """What a field has where nothing is written: read by its type, once that exists."""

    def __init__(self, field: FieldShape) -> None:
        self.name = field.name
        self.default = field.default
        self.type: Any = None

    def __call__(self) -> Any:
        if self.default is None or self.default.unset:
            return UNSET
        try:
            written = msgspec.json.encode(self.default.value)
            found = msgspec.json.decode(written, type=self.type)
            return self.default.value if isinstance(found, float) else found
        except (msgspec.ValidationError, TypeError):  # nobody checks defaults
            return self.default.value

    def declared(self) -> dict[str, Any]:
        """As a field declares it; constants stay such, so that `omit_defaults` knows them."""
        if self.default is None:
            return {}
        if self.default.value is None:
            return {"default": UNSET if self.default.unset else None}
        if self.type is None:
            return {"default_factory": self}
        value = self()
        if isinstance(value, (list, dict, set)):
            return {"default_factory": self if value else type(value)}
        return {"default": value}


def _hint(shape: Shape, field: FieldShape, kind: Any) -> Any:
    if isinstance(shape, TypedDictShape):
        return Required[kind] if field.required else NotRequired[kind]
    return Union[kind, UnsetType] if field.unset else kind  # noqa: UP007 - made at run time


def _make(name: str, shape: Shape, defaults: list[_Default]) -> Any:
    """The class, with fields of any type."""
    name = re.sub(r"\W", "_", name)  # Box[int] is a name, too
    match shape:
        case StructShape():
            return msgspec.defstruct(
                name,
                [
                    (field.name, Any, msgspec.field(name=field.encode_name, **default.declared()))
                    for field, default in zip(shape.fields, defaults, strict=True)
                ],
                kw_only=True,
                frozen=shape.frozen,
                eq=shape.eq,
                tag=shape.tag,
                tag_field=shape.tag_field,
                array_like=shape.array_like,
                omit_defaults=shape.omit_defaults,
                forbid_unknown_fields=shape.forbid_unknown_fields,
            )
        case DataclassShape():
            fields = [(d.name, Any, dataclasses.field(**d.declared())) for d in defaults]
            return dataclasses.make_dataclass(
                name, fields, kw_only=True, frozen=shape.hashable, eq=shape.eq
            )
        case TypedDictShape():
            hints = {field.name: _hint(shape, field, Any) for field in shape.fields}
            return TypedDict(name, hints)  # type: ignore[operator]  # made at run time
        case _:
            return NamedTuple(name, [(d.name, Any) for d in defaults])


def _give_defaults(cls: Any, defaults: list[_Default]) -> None:
    given = {each.name: each() for each in defaults if each.default is not None}
    cls._field_defaults.update(given)
    cls.__new__.__defaults__ = tuple(given.values())


def _enum(name: str, shape: EnumShape) -> Any:
    if shape.flag:
        return enum.IntFlag(name, shape.members)
    if not shape.open:
        return enum.Enum(name, shape.members)

    class Open(enum.Enum):
        @classmethod
        def _missing_(cls, value: object) -> Any:
            del value
            return cls[shape.unknown] if shape.unknown else None

    return Open(name, shape.members)  # type: ignore[call-arg]  # it has no members of its own
