"""A type as data: all that msgspec's decoder obeys, so that it can be read years later.

JSON Schema would lose whether a time has an offset, defaults, `omit_defaults` and more.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal[
    "any", "none", "bool", "int", "float", "str", "bytes", "datetime", "time", "date", "timedelta",
    "uuid", "decimal", "list", "set", "frozenset", "vartuple", "tuple", "dict", "literal", "union",
    "ref",
]  # fmt: skip
CONSTRAINTS: Final = (
    "gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "tz",
)  # fmt: skip


class _Data(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """As it is written to a file."""


class Node(_Data, frozen=True, kw_only=True):
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


class Default(_Data, frozen=True, kw_only=True):
    """What a reader sees where nothing is written."""

    value: Any = None
    """As JSON has it."""
    unset: bool = False
    """It is msgspec's UNSET."""
    code: str = ""
    """What makes it, when that is no constant; `value` is then only an example of it."""


class FieldShape(_Data, frozen=True, kw_only=True):
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


class StructShape(_Data, frozen=True, kw_only=True, tag_field="kind", tag="struct"):
    """A type with fields. What is no Struct is described as the Struct that reads the same.

    A dataclass is one as it stands, a TypedDict one whose optional fields may be UNSET, a
    NamedTuple one that is written as an array and refuses further items.
    """

    fields: tuple[FieldShape, ...] = ()
    checks: str = ""
    """A digest of its `__post_init__`, which no descriptor can rebuild; empty without one."""
    tag_field: str | None = None
    tag: str | int | None = None
    array_like: bool = False
    forbid_unknown_fields: bool = False
    omit_defaults: bool = False
    frozen: bool = False
    eq: bool = True


class EnumShape(_Data, frozen=True, kw_only=True, tag_field="kind", tag="enum"):
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


Shape: TypeAlias = StructShape | EnumShape


class Descriptor(_Data, frozen=True, kw_only=True):
    """A type with all that it is made of; comparable, and JSON."""

    root: Node
    types: dict[str, Shape] = {}


class Contract(_Data, frozen=True, kw_only=True):
    """An event with its type, as data."""

    subject: str
    key: str = ""
    """The key's name in JSON."""
    decision: str = ""
    race: bool = False
    type: Descriptor
