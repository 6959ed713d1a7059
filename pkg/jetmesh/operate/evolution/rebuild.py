"""A type put together again: it decodes as the one did that was described."""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Union
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from jetmesh.operate.evolution.descriptor import (
    CONSTRAINTS,
    Descriptor,
    EnumShape,
    FieldShape,
    Node,
    Shape,
    StructShape,
)

_PLAIN: Final[Mapping[str, Any]] = {
    "any": Any,
    "none": None,
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "bytes": bytes,
    "datetime": dt.datetime,
    "date": dt.date,
    "time": dt.time,
    "timedelta": dt.timedelta,
    "decimal": Decimal,
    "uuid": UUID,
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


def rebuild(descriptor: Descriptor) -> Any:
    """A type that reads as the described one. Its `__post_init__` and the like are not there."""
    return _Rebuilding(descriptor.types).type(descriptor.root)


class _Rebuilding:
    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self._shapes = shapes
        self._made: dict[str, Any] = {}

    def type(self, node: Node) -> Any:
        said = {name: getattr(node, name) for name in CONSTRAINTS}
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
            fields = [_Field(each) for each in shape.fields]
            for each in fields:
                each.type = None if self._nested(each.shape.type) else self.type(each.shape.type)
            cls = self._made[name] = _struct(name, shape, fields)
            # Its fields get their types now that it exists, so that it may contain itself.
            for each in fields:
                each.type = self.type(each.shape.type)
            cls.__annotations__ = {each.shape.name: each.hint for each in fields}
        return self._made[name]


class _Field:
    """A field; called, it makes its default, which its type reads once that exists."""

    def __init__(self, shape: FieldShape) -> None:
        self.shape = shape
        self.default = shape.default
        self.type: Any = None

    @property
    def hint(self) -> Any:
        return Union[self.type, UnsetType] if self.shape.unset else self.type  # noqa: UP007 - made at run time

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


def _struct(name: str, shape: StructShape, fields: list[_Field]) -> type[Struct]:
    """The class, with fields of any type."""
    return msgspec.defstruct(
        re.sub(r"\W", "_", name),  # Box[int] is a name, too
        [
            (each.shape.name, Any, msgspec.field(name=each.shape.encode_name, **each.declared()))
            for each in fields
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
