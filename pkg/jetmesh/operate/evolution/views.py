"""A type as JSON shows it: which sorts of value it has, and which parts these have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from jetmesh.operate.evolution.descriptor import (
    Default,
    EnumShape,
    FieldShape,
    Node,
    Shape,
    StructShape,
)
from jetmesh.operate.evolution.generate import may_be_absent

Types: TypeAlias = Mapping[str, Shape]
Sort: TypeAlias = Literal["null", "bool", "int", "float", "text", "array", "object"]
SORTS: Final[tuple[Sort, ...]] = ("null", "bool", "int", "float", "text", "array", "object")
_PLAIN: Final[Mapping[str, Sort]] = {
    "none": "null", "bool": "bool", "int": "int", "float": "float", "dict": "object",
    "list": "array", "vartuple": "array", "tuple": "array", "set": "array", "frozenset": "array",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A member of an object, or a place in an array."""

    name: str
    type: Node
    required: bool
    """Of a reader: it refuses what has none."""
    absent: bool = False
    """Of a writer: it may leave it out."""
    field: FieldShape | None = None


@dataclass(frozen=True)
class Whole:
    """The parts of an object or an array."""

    parts: tuple[Part, ...]
    rest: Node | None
    """What else may be in it; None: nothing is written, whatever is there is ignored."""
    least: int
    most: int | None
    kind: str
    key: Node | None = None
    closed: bool = False
    """A reader refuses what is in none of its parts."""
    shape: Shape | None = None

    def part(self, name: str) -> Part | None:
        return next((each for each in self.parts if each.name == name), None)


def leaves(node: Node, types: Types) -> Iterator[Node]:
    """The members of unions, each alone; of a literal the values of each sort."""
    if node.kind == "union":
        for each in node.of:
            yield from leaves(each, types)
    elif node.kind == "literal":
        for kind in (str, int, type(None)):
            values = tuple(value for value in node.values if type(value) is kind)
            if values:
                yield Node(kind="literal", values=values)
    else:
        yield node


def sort_of(leaf: Node, types: Types) -> Sort | None:
    """The sort of JSON that a type is; None: any."""
    if leaf.kind == "any":
        return None
    if leaf.kind == "literal":
        value = leaf.values[0]
        return "null" if value is None else "text" if isinstance(value, str) else "int"
    if leaf.kind == "ref":
        shape = types[leaf.name]
        if isinstance(shape, EnumShape):
            return "text" if isinstance(next(iter(shape.members.values())), str) else "int"
        return "array" if shape.array_like else "object"
    return _PLAIN.get(leaf.kind, "text")


def written(leaf: Node, types: Types, *, loose: bool) -> tuple[Sort, ...]:
    """The sorts of JSON that a writer may make of it."""
    sort = sort_of(leaf, types)
    if sort is None:
        return SORTS
    if leaf.kind == "float":
        return ("float", "int")
    if leaf.kind == "decimal" and loose:
        return ("text", "int", "float")
    return (sort,)


def takers(node: Node, types: Types, sort: Sort) -> list[Node]:
    """The members of a reader that take a sort; several only where tags tell them apart."""
    found = {leaf: sort_of(leaf, types) for leaf in leaves(node, types)}
    for wanted in (sort, None):
        taken = [leaf for leaf, has in found.items() if has == wanted]
        if taken:
            return taken
    numbers = {"int": ("float", "decimal"), "float": ("decimal",)}.get(sort, ())
    return next(([leaf] for kind in numbers for leaf in found if leaf.kind == kind), [])


def tag_of(leaf: Node, types: Types) -> str | int | None:
    shape = types.get(leaf.name)
    return shape.tag if isinstance(shape, StructShape) else None


def whole(leaf: Node, types: Types, *, loose: bool, chosen: bool = False) -> Whole:
    """The parts of what has parts. `chosen`: its tag must be there, because others have one."""
    if leaf.kind != "ref":
        return _container(leaf)
    shape = types[leaf.name]
    assert not isinstance(shape, EnumShape)  # noqa: S101 - an enum has no parts
    closed = shape.forbid_unknown_fields
    parts = [
        Part(f.encode_name, f.type, f.required, may_be_absent(shape, f, loose=loose), f)
        for f in shape.fields
    ]
    if shape.tag is not None:
        tag = Node(kind="literal", values=(shape.tag,))
        required = chosen or shape.array_like
        parts.insert(0, Part(shape.tag_field or "type", tag, required))
    if not shape.array_like:
        least = sum(not part.absent for part in parts)
        return Whole(tuple(parts), None, least, len(parts), "struct", closed=closed, shape=shape)
    needed = max((n + 1 for n, part in enumerate(parts) if part.required), default=0)
    most = len(parts) if closed else None
    return Whole(tuple(parts), None, needed, most, "array", closed=closed, shape=shape)


def _container(leaf: Node) -> Whole:
    least, most = leaf.min_length or 0, leaf.max_length
    if leaf.kind == "dict":
        return Whole((), leaf.of[1], least, most, "dict", key=leaf.of[0])
    if leaf.kind == "tuple":
        parts = tuple(Part("", each, required=True) for each in leaf.of)
        return Whole(parts, None, len(parts), len(parts), "tuple", closed=True)
    return Whole((), leaf.of[0], least, most, leaf.kind)


def same_default(one: Default | None, other: Default | None) -> bool:
    """Whether two readers see the same where nothing is written."""
    if one is None or other is None:
        return one is other
    return (one.code, one.unset) == (other.code, other.unset) and bool(
        one.code or one.value == other.value
    )
