"""A type as data: all that msgspec's decoder obeys, so that it can be read years later.

JSON Schema would lose whether a time has an offset, defaults, `omit_defaults` and more.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal[
    "any", "none", "bool", "int", "float", "str", "bytes", "bytearray", "memoryview", "datetime",
    "time", "date", "timedelta", "uuid", "decimal", "raw", "list", "set", "frozenset", "vartuple",
    "tuple", "dict", "literal", "union", "ref",
]  # fmt: skip


class Node(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A type in place. What is named has its `Shape` in `Descriptor.types`."""

    kind: Kind
    name: str = ""
    """Of a `ref`."""
    of: tuple[Node, ...] = ()
    """The items of a container, key and value of a dict, the members of a union."""
    values: tuple[str | int | None, ...] = ()
    """Of a literal."""
    gt: int | float | None = None
    ge: int | float | None = None
    lt: int | float | None = None
    le: int | float | None = None
    multiple_of: int | float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    tz: bool | None = None
    """True: only with an offset; False: only without; None: both."""
    sensitive: bool = False


class Default(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a reader sees where nothing is written."""

    value: Any = None
    """As JSON has it."""
    unset: bool = False
    """It is msgspec's UNSET."""
    code: str = ""
    """What makes it, when that is no constant; `value` is then only an example of it."""


class FieldShape(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    name: str
    wire: str = ""
    """Its name in JSON, where that differs."""
    type: Node
    required: bool = False
    default: Default | None = None
    unset: bool = False
    """It may hold UNSET, and is then not written."""

    @property
    def encode_name(self) -> str:
        return self.wire or self.name


class _Fields(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="kind",
):
    fields: tuple[FieldShape, ...] = ()
    checks: str = ""
    """A digest of its `__post_init__`, which no descriptor can rebuild; empty without one."""


class StructShape(
    _Fields, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="struct"
):
    tag_field: str | None = None
    tag: str | int | None = None
    array_like: bool = False
    forbid_unknown_fields: bool = False
    omit_defaults: bool = False
    frozen: bool = False
    eq: bool = True


class DataclassShape(
    _Fields, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="dataclass"
):
    hashable: bool = False
    eq: bool = True


class TypedDictShape(
    _Fields, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="typeddict"
):
    """An object that stays a dict; a field that is not required has no default."""


class NamedTupleShape(
    _Fields, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="namedtuple"
):
    """An array of fields in their order."""


class EnumShape(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="enum",
):
    members: dict[str, str | int]
    """Value by name."""
    flag: bool = False
    unknown: str = ""
    """The member that `_missing_` gives for every value that nobody declared; empty: refused."""
    code: bool = False
    """Its `_missing_` decides value by value, which no descriptor can rebuild."""

    @property
    def open(self) -> bool:
        """Whether it reads values that it does not list."""
        return bool(self.unknown) or self.code or self.flag


Shape: TypeAlias = StructShape | DataclassShape | TypedDictShape | NamedTupleShape | EnumShape


class Descriptor(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A type with all that it is made of; comparable, and JSON."""

    root: Node
    types: dict[str, Shape] = {}

    @property
    def unprovable(self) -> list[str]:
        """What no descriptor holds, one name each: these run only in the code that was released."""
        found: list[str] = []
        for name, shape in self.types.items():
            if isinstance(shape, EnumShape):
                found += [f"{name}._missing_"] if shape.code else []
                continue
            found += [f"{name}.__post_init__"] if shape.checks else []
            made = [f for f in shape.fields if f.default is not None and f.default.code]
            found += [f"{name}.{field.name} = {field.default.code}" for field in made]  # type: ignore[union-attr]  # each of `made` has one
        return found


class Contract(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """An event with its type, as data."""

    subject: str
    key: str = ""
    """The key's name in JSON."""
    decision: str = ""
    race: bool = False
    type: Descriptor
