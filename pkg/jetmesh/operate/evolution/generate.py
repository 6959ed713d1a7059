"""Values of a described type, as they are written to JSON, and payloads of a contract."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

import msgspec

from jetmesh.errors import JetmeshError
from jetmesh.operate.evolution.descriptor import (
    Contract,
    Descriptor,
    EnumShape,
    FieldShape,
    Node,
    StructShape,
)
from jetmesh.operate.evolution.leaves import LEAVES, Impossible, within
from jetmesh.operate.evolution.rebuild import rebuild

ABSENT: Final = object()
_DEEP: Final = 5
_MANY: Final = 12
_SEED: Final = 20_261_130


class Values:
    """Makes random values of one descriptor, edge cases among them.

    `loose`: also as others than msgspec's encoder may write them: a decimal as a number, and
    nothing where there is a default.
    """

    def __init__(self, described: Descriptor, random: Random, *, loose: bool = False) -> None:
        self._types = described.types
        self._root = described.root
        self._random = random
        self._loose = loose

    def one(self) -> Any:
        """A value as `msgspec.json.encode` takes it.

        Raises:
            Impossible: none was found.
        """
        return self._value(self._root, 0)

    def _value(self, node: Node, depth: int) -> Any:
        make: Callable[[Node, int], Any]
        match node.kind:
            case "ref":
                make = self._named
            case "union":
                make = self._member
            case "dict":
                make = self._dict
            case "tuple":
                make = self._tuple
            case "list" | "vartuple" | "set" | "frozenset":
                make = self._items
            case _:
                make = self._leaf
        return make(node, depth)

    def _leaf(self, node: Node, _: int) -> Any:
        found = [v for v in LEAVES[node.kind](node) if within(node, v)]
        if not found:
            raise Impossible(f"no {node.kind} was found that keeps its constraints")
        value = self._random.choice(found)
        if node.kind == "decimal":
            numbers = self._loose and value.is_finite() and self._random.random() < 0.4  # noqa: PLR2004 - now and then
            return msgspec.Raw(str(value).encode()) if numbers else str(value)
        return value

    def _member(self, node: Node, depth: int) -> Any:
        members = list(node.of)
        self._random.shuffle(members)
        if depth > _DEEP:
            members.sort(key=lambda each: each.kind != "none")
        for member in members:
            try:
                return self._value(member, depth + 1)
            except Impossible:
                continue
        raise Impossible("no member of a union has a value")

    def _tuple(self, node: Node, depth: int) -> list[Any]:
        return [self._value(each, depth + 1) for each in node.of]

    def _length(self, node: Node, depth: int) -> int:
        least = node.min_length or 0
        most = least + 3 if node.max_length is None else node.max_length
        return least if depth > _DEEP else self._random.randint(least, min(most, least + 3))

    def _items(self, node: Node, depth: int) -> list[Any]:
        length = self._length(node, depth)
        try:
            found = [self._value(node.of[0], depth + 1) for _ in range(length)]
        except Impossible:
            if node.min_length:
                raise
            return []
        if node.kind in ("set", "frozenset"):
            each = {msgspec.json.encode(value): value for value in found}
            found = list(each.values())
            if len(found) < (node.min_length or 0):
                raise Impossible("a set has too few different values")
        return found

    def _dict(self, node: Node, depth: int) -> dict[str, Any]:
        key, value = node.of
        wanted = self._length(node, depth)
        found: dict[str, Any] = {}
        for _ in range(wanted * 4):
            if len(found) < wanted:
                found[key_text(self._value(key, depth + 1))] = self._value(value, depth + 1)
        if len(found) < (node.min_length or 0):
            raise Impossible("a dict has too few different keys")
        return found

    def _named(self, node: Node, depth: int) -> Any:
        shape = self._types[node.name]
        if isinstance(shape, EnumShape):
            return self._random.choice(list(shape.members.values()))
        if depth > _DEEP * 3:
            raise Impossible(f"{node.name} always contains another one")
        values = [(field, self._field(shape, field, depth)) for field in shape.fields]
        if shape.array_like:
            return self._array(shape, [value for _, value in values])
        begin = {shape.tag_field: shape.tag} if shape.tag_field else {}
        return begin | {f.encode_name: value for f, value in values if value is not ABSENT}

    def _field(self, shape: StructShape, field: FieldShape, depth: int) -> Any:
        if self._absent(shape, field, depth):
            return ABSENT
        try:
            return self._value(field.type, depth + 1)
        except Impossible:
            if field.required:
                raise
            return ABSENT

    def _absent(self, shape: StructShape, field: FieldShape, depth: int) -> bool:
        if shape.array_like:
            return self._loose and not field.required and self._random.random() < 0.3  # noqa: PLR2004 - now and then
        may = may_be_absent(shape, field, loose=self._loose)
        return may and (depth > _DEEP or self._random.random() < 0.5)  # noqa: PLR2004 - now and then

    def _array(self, shape: StructShape, values: list[Any]) -> list[Any]:
        """Up to the first value that is left out; what must be there follows none of those."""
        end = next((n for n, value in enumerate(values) if value is ABSENT), len(values))
        if any(field.required for field in shape.fields[end:]):
            raise Impossible("an array cannot leave out what stands before a required field")
        tagged = [] if shape.tag is None else [shape.tag]
        return tagged + values[:end]


def may_be_absent(shape: StructShape, field: FieldShape, *, loose: bool) -> bool:
    """Whether whoever writes the type may leave the field out."""
    return not field.required and (loose or shape.omit_defaults or field.unset)


def key_text(value: Any) -> str:
    """A value as the name of an object's member."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()
    raise Impossible(f"{value!r} cannot be a key")


def samples(contract: Contract, *examples: Any) -> tuple[bytes, ...]:
    """Payloads that the type reads, always the same ones.

    Raises:
        JetmeshError: none is known, because of a pattern for instance.
    """
    decoder = msgspec.json.Decoder(rebuild(contract.type))
    found = dict.fromkeys(msgspec.json.encode(each) for each in examples)
    for written in payloads(contract, tries=_MANY * 5):
        try:
            decoder.decode(written)
        except msgspec.ValidationError:
            continue
        found[written] = None
        if len(found) == _MANY:
            break
    if not found:
        raise JetmeshError(
            f"No sample of {contract.subject} is known.",
            remedy="Declare examples: Annotated[…, Meta(examples=[…])].",
        )
    return tuple(found)


def payloads(contract: Contract, *, tries: int, loose: bool = False) -> Iterator[bytes]:
    """What the type may write, always the same; `loose`: or what others may write for it."""
    values = Values(contract.type, Random(_SEED), loose=loose)  # noqa: S311 - not for secrets
    for _ in range(tries):
        with contextlib.suppress(Impossible):
            yield msgspec.json.encode(values.one())
