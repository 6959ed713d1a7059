"""A type taken apart, by what msgspec says of it."""

from __future__ import annotations

import enum
import hashlib
import inspect as source
import textwrap
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, UNSET, UnsetType, inspect, structs

from jetmesh.declare.event import EventSpec
from jetmesh.errors import DeclarationError
from jetmesh.operate.evolution.descriptor import (
    CONSTRAINTS,
    Contract,
    Default,
    Descriptor,
    EnumShape,
    FieldShape,
    Node,
    Shape,
    StructShape,
)

_NAMED: Final = (
    inspect.StructType,
    inspect.DataclassType,
    inspect.TypedDictType,
    inspect.NamedTupleType,
    inspect.EnumType,
)
_KINDS: Final[dict[type[inspect.Type], Any]] = {
    inspect.AnyType: "any",
    inspect.NoneType: "none",
    inspect.BoolType: "bool",
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.StrType: "str",
    inspect.BytesType: "bytes",
    inspect.ByteArrayType: "bytes",
    inspect.MemoryViewType: "bytes",
    inspect.DateTimeType: "datetime",
    inspect.TimeType: "time",
    inspect.DateType: "date",
    inspect.TimeDeltaType: "timedelta",
    inspect.UUIDType: "uuid",
    inspect.DecimalType: "decimal",
    inspect.RawType: "any",
    inspect.ListType: "list",
    inspect.SetType: "set",
    inspect.FrozenSetType: "frozenset",
    inspect.VarTupleType: "vartuple",
    inspect.TupleType: "tuple",
    inspect.DictType: "dict",
    inspect.LiteralType: "literal",
    inspect.UnionType: "union",
}


def describe(kind: Any) -> Descriptor:
    """All that the decoder obeys about a type that msgspec reads.

    Raises:
        DeclarationError: it holds a type that no decoder reads without help.
    """
    describing = _Describing()
    root = describing.node(inspect.type_info(kind))
    return Descriptor(root=root, types=describing.shapes)


def contract_of(spec: EventSpec) -> Contract:
    """The contract of an event.

    Raises:
        DeclarationError: it holds something that no decoder reads.
    """
    return Contract(
        subject=spec.subject,
        key=spec.key_name,
        decision=spec.decision or "",
        race=spec.race,
        type=describe(spec.type),
    )


class _Describing:
    def __init__(self) -> None:
        self.shapes: dict[str, Shape] = {}
        self._names: dict[Any, str] = {}

    def node(self, kind: inspect.Type) -> Node:
        if isinstance(kind, inspect.Metadata):
            inner = self.node(kind.type)
            hidden = bool((kind.extra or {}).get("sensitive"))
            return structs.replace(inner, sensitive=True) if hidden else inner
        if isinstance(kind, _NAMED):
            return Node(kind="ref", name=self._named(kind))
        if type(kind) not in _KINDS:
            raise DeclarationError(
                f"{getattr(kind, 'cls', type(kind).__name__)} cannot be read from JSON.",
                remedy="Use a type that msgspec decodes.",
            )
        said: dict[str, Any] = {name: getattr(kind, name, None) for name in CONSTRAINTS}
        values = tuple(getattr(kind, "values", ()))
        of = tuple(self.node(each) for each in _parts(kind))
        return Node(kind=_KINDS[type(kind)], values=values, of=of, **said)

    def _named(self, kind: Any) -> str:
        if kind.cls not in self._names:
            wanted = getattr(kind.cls, "__name__", str(kind.cls))
            taken = [n for n in self._names.values() if n.partition("~")[0] == wanted]
            name = self._names[kind.cls] = f"{wanted}~{len(taken) + 1}" if taken else wanted
            self.shapes[name] = EnumShape(members={})  # its place; it may refer to itself
            self.shapes[name] = self._shape(kind)
        return self._names[kind.cls]

    def _shape(self, kind: Any) -> Shape:
        match kind:
            case inspect.EnumType():
                return _enum(kind.cls)
            case inspect.StructType():
                cls = get_origin(kind.cls) or kind.cls
                config = cls.__struct_config__
                return StructShape(
                    fields=self._fields(_with_unset(kind)),
                    checks=_digest(getattr(cls, "__post_init__", None)),
                    tag_field=kind.tag_field,
                    tag=kind.tag,
                    array_like=kind.array_like,
                    forbid_unknown_fields=kind.forbid_unknown_fields,
                    omit_defaults=config.omit_defaults,
                    frozen=config.frozen,
                    eq=config.eq,
                )
            case inspect.DataclassType():
                each = ((f, _or_unset(f), _or_unset(f) is UNSET) for f in kind.fields)
                return StructShape(
                    fields=self._fields(each),
                    checks=_digest(getattr(kind.cls, "__post_init__", None)),
                    frozen=kind.cls.__hash__ is not None,
                    eq=any("__eq__" in vars(base) for base in kind.cls.__mro__[:-1]),
                )
            case inspect.TypedDictType():
                each = (
                    (f, NODEFAULT if f.required else UNSET, not f.required) for f in kind.fields
                )
                return StructShape(fields=self._fields(each))
            case _:
                each = ((field, field.default, False) for field in kind.fields)
                return StructShape(
                    fields=self._fields(each),
                    array_like=True,
                    forbid_unknown_fields=True,
                    frozen=True,
                )

    def _fields(self, each: Iterable[tuple[inspect.Field, Any, bool]]) -> tuple[FieldShape, ...]:
        return tuple(
            FieldShape(
                name=field.name,
                wire="" if field.encode_name == field.name else field.encode_name,
                type=self.node(field.type),
                required=field.required,
                default=_default(field, default),
                unset=unset,
            )
            for field, default, unset in each
        )


def _with_unset(kind: inspect.StructType) -> Iterable[tuple[inspect.Field, Any, bool]]:
    """Each field with its default and whether it may be UNSET, both of which `inspect` drops."""
    for field, said in zip(kind.fields, structs.fields(kind.cls), strict=True):
        yield field, said.default, _may_be_unset(said.type)


def _or_unset(field: inspect.Field) -> Any:
    """Its default; `inspect` drops one that is UNSET."""
    bare = field.default is NODEFAULT and field.default_factory is NODEFAULT
    return UNSET if bare and not field.required else field.default


def _may_be_unset(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return _may_be_unset(get_args(hint)[0])
    return hint is UnsetType or any(_may_be_unset(each) for each in get_args(hint))


def _parts(kind: Any) -> list[inspect.Type]:
    match kind:
        case inspect.DictType():
            return [kind.key_type, kind.value_type]
        case inspect.UnionType():
            return sorted(kind.types, key=_label)  # typing keeps no order of its own
        case inspect.TupleType():
            return list(kind.item_types)
        case inspect.CollectionType():
            return [kind.item_type]
        case _:
            return []


def _label(kind: Any) -> tuple[str, str]:
    name = getattr(getattr(kind, "cls", None), "__name__", "")
    return type(kind).__name__, name.partition("~")[0]


def _default(field: inspect.Field, default: Any) -> Default | None:
    if default is UNSET:
        return Default(unset=True)
    factory = field.default_factory
    if factory is not NODEFAULT:
        first, second = _written(factory()), _written(factory())
        code = f"{getattr(factory, '__qualname__', factory)}()"
        if first is None or first != second:
            return Default(value=first and msgspec.json.decode(first), code=code)
        return Default(value=msgspec.json.decode(first))
    if default is NODEFAULT:
        return None
    written = _written(default)
    if written is None:
        return Default(code=type(default).__qualname__)
    return Default(value=msgspec.json.decode(written))


def _written(value: Any) -> bytes | None:
    try:
        return msgspec.json.encode(value, order="deterministic")
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def _enum(cls: Any) -> EnumShape:
    members = {name: member.value for name, member in cls.__members__.items()}
    numbers = all(isinstance(value, int) for value in members.values())
    given = [_given(cls, value) for value in (_NUMBERS if numbers else _TEXTS)]
    near = [] if numbers else [v for x in members.values() for v in (x.upper(), f" {x}", x.title())]
    given += [_given(cls, value) for value in near if value not in members.values()]
    alike = len(set(given)) == 1
    return EnumShape(
        members=members,
        flag=issubclass(cls, enum.Flag),
        unknown=given[0] if alike else "",
        code=not alike and not issubclass(cls, enum.Flag),
    )


_NUMBERS: Final = (-7_777_777, 7_777_777, 1 << 40)
_TEXTS: Final = ("a value that nobody declared", "", "another one")


def _given(cls: Any, value: str | int) -> str:
    """The member that the decoder makes of a value that is not listed; empty: it refuses."""
    try:
        member = msgspec.json.decode(msgspec.json.encode(value), type=cls)
    except (msgspec.ValidationError, TypeError):
        return ""
    return str(getattr(member, "name", "") or repr(member))


def _digest(function: Callable[..., Any] | None) -> str:
    if function is None:
        return ""
    try:
        text = textwrap.dedent(source.getsource(function))
    except (OSError, TypeError):  # no source file
        text = getattr(function, "__qualname__", repr(function))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
