"""What a reader makes of all that a writer may write, by rules about their types.

The rules know no example and may be too strict; never too lenient: a test compares them with what
the decoder does to thousands of pairs of types.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from jetmesh.operate.evolution.descriptor import CONSTRAINTS, Descriptor, EnumShape, Node
from jetmesh.operate.evolution.ranges import fits, members
from jetmesh.operate.evolution.rebuild import rebuild
from jetmesh.operate.evolution.views import (
    Part,
    Sort,
    Whole,
    leaves,
    same_default,
    tag_of,
    takers,
    whole,
    written,
)

_EXACT: Final = 2**53
_INT64: Final = 2**63 - 1


class Issue(Struct, frozen=True):
    """One thing that a reader cannot read, or reads as something else."""

    path: str
    """`items[].price`; empty for the event as a whole."""
    verdict: Literal["red", "yellow"]
    what: str
    """A sentence without its full stop."""
    rule: str = ""


def compare(
    writer: Descriptor, reader: Descriptor, *, loose: bool = False, forward: bool = False
) -> list[Issue]:
    """What `reader` cannot read of what `writer` describes, or misunderstands.

    `loose`: others than our encoder write it, too. `forward`: the reader is the older one.
    """
    comparing = _Comparing(writer, reader, loose=loose, forward=forward)
    comparing.nodes(writer.root, reader.root, "")
    return list(dict.fromkeys(comparing.found))


class _Comparing:
    def __init__(
        self, writer: Descriptor, reader: Descriptor, *, loose: bool, forward: bool
    ) -> None:
        self.writes, self.reads = writer.types, reader.types
        self.loose, self.forward = loose, forward
        self.found: list[Issue] = []
        self._seen: set[Any] = set()

    def red(self, path: str, what: str, rule: str) -> None:
        self.found.append(Issue(path, "red", what, rule))

    def yellow(self, path: str, what: str, rule: str) -> None:
        self.found.append(Issue(path, "yellow", what, rule))

    def nodes(self, writer: Node, reader: Node, path: str) -> None:
        """Every sort of value that is written against what reads that sort."""
        for leaf in leaves(writer, self.writes):
            for sort in written(leaf, self.writes, loose=self.loose):
                taken = takers(reader, self.reads, sort)
                if not taken:
                    self.red(path, f"{_said(leaf)} may be written, which is not read", "type")
                elif taken[0].kind == "any":
                    continue
                elif leaf.kind == "any":
                    self.red(
                        path, f"anything may be written where {_said(taken[0])} is read", "type"
                    )
                elif sort in ("array", "object"):
                    self._structured(leaf, taken, path)
                elif sort not in ("null", "bool"):
                    self._scalar(leaf, taken[0], sort, path)

    def _scalar(self, writer: Node, reader: Node, sort: Sort, path: str) -> None:
        values = members(writer, self.writes)
        if values is not None:
            refused = [value for value in values if not self._reads(reader, value)]
            if refused:
                self.red(path, f"{refused[0]!r} may be written, which is not read", "value")
            self._others(values, reader, path)
            return
        shape = self.reads.get(reader.name)
        if isinstance(shape, EnumShape) and shape.unknown:
            if sort == "int" and not _within(writer, _INT64):
                self.red(path, "an enumeration reads no number beyond 64 bits", "constraint")
        elif reader.kind in ("literal", "ref"):
            self.red(path, f"{_said(writer)} may be written where a few values are read", "value")
        elif not fits(writer, reader, sort):
            what = f"{_said(writer)} may be written where {_said(reader)} is read"
            self.red(path, what, "constraint")
        elif reader.kind == "float" and writer.kind != "float" and not _within(writer, _EXACT):
            self.yellow(path, "many digits are rounded, as beyond 2**53", "rounded")

    def _others(self, values: list[Any], reader: Node, path: str) -> None:
        """A value that is gone is read as the member for unknown ones; a new one is meant to be."""
        shape = self.reads.get(reader.name)
        if isinstance(shape, EnumShape) and shape.unknown and not self.forward:
            gone = [value for value in values if value not in shape.members.values()]
            if gone:
                self.yellow(path, f"{gone[0]!r} is read as {shape.unknown}", "others")

    def _reads(self, reader: Node, value: Any) -> bool:
        kind = rebuild(Descriptor(root=reader, types=dict(self.reads)))
        try:
            msgspec.json.decode(msgspec.json.encode(value), type=kind)
        except msgspec.ValidationError:
            return False
        return True

    def _structured(self, writer: Node, taken: list[Node], path: str) -> None:
        given = whole(writer, self.writes, loose=self.loose)
        chosen = len(taken) > 1
        reader = self._by_tag(given, taken, path) if chosen else taken[0]
        if reader is None or (writer, reader, chosen) in self._seen:
            return
        if writer.name and reader.name:
            self._seen.add((writer, reader, chosen))
        wanted = whole(reader, self.reads, loose=self.loose, chosen=chosen)
        self._checks(given, wanted, path)
        if given.kind in ("struct", "dict"):
            self._object(given, wanted, path)
        else:
            self._array(given, wanted, path)

    def _by_tag(self, given: Whole, taken: list[Node], path: str) -> Node | None:
        shape: Any = self.reads[taken[0].name]
        tag = (
            given.part(shape.tag_field) if given.kind == "struct" else next(iter(given.parts), None)
        )
        values = members(tag.type, self.writes) if tag and not tag.absent else None
        found = {tag_of(each, self.reads): each for each in taken}
        if not values or any(value not in found for value in values) or len(values) > 1:
            self.red(path, f"{shape.tag_field!r} does not say which type it is", "tag")
            return None
        return found[values[0]]

    def _checks(self, given: Whole, wanted: Whole, path: str) -> None:
        now, before = (getattr(each.shape, "checks", "") for each in (wanted, given))
        if now and now != before:
            self.yellow(path, "its `__post_init__` may refuse what is stored", "code")

    def _object(self, given: Whole, wanted: Whole, path: str) -> None:
        if wanted.key is not None:
            self._into_dict(given, wanted, path)
            return
        for part in wanted.parts:
            below = f"{path}.{part.name}".lstrip(".")
            if given.rest is not None:
                if part.required:
                    self.red(below, "it may be missing", "missing")
                else:
                    self.nodes(given.rest, part.type, below)
            elif (written_part := given.part(part.name)) is None:
                self._unwritten(given, wanted, part, below)
            else:
                self._part(written_part, part, below)
        unknown = [p.name for p in given.parts if wanted.part(p.name) is None]
        if wanted.closed and (unknown or given.rest is not None):
            name = f".{unknown[0]}" if unknown else ""
            self.red(f"{path}{name}".lstrip("."), "unknown fields are refused", "unknown")

    def _part(self, writer: Part, reader: Part, path: str) -> None:
        self.nodes(writer.type, reader.type, path)
        if not writer.absent:
            return
        if reader.required:
            self.red(path, "it may be missing", "missing")
        elif writer.field and reader.field:
            seen = reader.field.default
            means = [writer.field.default] if not writer.field.unset else []
            if writer.field.unset and not (seen and seen.unset):
                means = [None] if writer.field.default != seen else []
            if any(not same_default(each, seen) for each in means):
                self.yellow(path, "where it is not written, its default was another one", "default")

    def _unwritten(self, given: Whole, wanted: Whole, part: Part, path: str) -> None:
        gone = [p for p in given.parts if p.field and wanted.part(p.name) is None]
        alike = [p.name for p in gone if p.type == part.type]
        if part.required:
            renamed = f", and {alike[0]!r} is there instead" if alike else ""
            self.red(path, f"it is missing{renamed}", "missing")
            return
        if part.field is None:
            return  # a tag, of which one struct alone needs none
        if self.forward:
            self.yellow(path, "older readers see its default from now on", "removed")
            return
        if alike:
            self.yellow(path, f"it looks like {alike[0]!r} renamed: its default is seen", "renamed")

    def _into_dict(self, given: Whole, wanted: Whole, path: str) -> None:
        assert wanted.key is not None  # noqa: S101 - of a dict
        assert wanted.rest is not None  # noqa: S101 - of a dict
        if not _long_enough(given, wanted):
            self.red(path, "its length may be another one", "length")
        if given.rest is not None and given.key is not None:
            self._keys(given.key, wanted.key, path)
            self.nodes(given.rest, wanted.rest, f"{path}{{}}")
        for part in given.parts:
            if not self._reads(
                Node(kind="dict", of=(wanted.key, Node(kind="any"))), {part.name: 0}
            ):
                self.red(path, f"{part.name!r} is no key", "value")
            self.nodes(part.type, wanted.rest, f"{path}.{part.name}".lstrip("."))

    def _keys(self, writer: Node, reader: Node, path: str) -> None:
        """A key is always a text: numbers are read from it, and written as one."""
        numbers = [
            leaf.kind for leaf in leaves(reader, self.reads) if leaf.kind in ("int", "float")
        ]
        plain = reader.kind == "str" and fits(Node(kind="str"), reader, "text")
        if reader != writer and not plain and reader.kind != "any":
            if numbers or any(n.kind in ("int", "float") for n in leaves(writer, self.writes)):
                self.red(path, "its keys may be others than those that are read", "type")
            else:
                self.nodes(writer, reader, f"{path}{{key}}")

    def _array(self, given: Whole, wanted: Whole, path: str) -> None:
        if not _long_enough(given, wanted) or (
            wanted.kind in ("set", "frozenset")
            and given.kind not in ("set", "frozenset")
            and wanted.least > 1
        ):
            self.red(path, "its length may be another one", "length")
        if wanted.kind in ("set", "frozenset") and given.kind not in ("set", "frozenset"):
            self.yellow(path, "order and duplicates are lost", "set")
        count = max(len(given.parts), len(wanted.parts))
        for place in range(count):
            writes, name = _at(given, place)
            reads, wanted_name = _at(wanted, place)
            if writes is None or reads is None:
                continue
            self.nodes(writes, reads, f"{path}[{place}]")
            if name and wanted_name and name != wanted_name:
                self.yellow(f"{path}[{place}]", f"{name!r} is read as {wanted_name!r}", "swapped")
        if given.rest is not None and wanted.rest is not None:
            self.nodes(given.rest, wanted.rest, f"{path}[]")


def _at(each: Whole, place: int) -> tuple[Node | None, str]:
    if place < len(each.parts):
        return each.parts[place].type, each.parts[place].name
    return each.rest, ""


def _long_enough(given: Whole, wanted: Whole) -> bool:
    """Whether every length that is written is read."""
    least, most = given.least, given.most
    if given.kind == "array":
        most = len(given.parts)
        least = given.least if any(p.absent for p in given.parts) else most
    enough = least >= wanted.least
    return enough and (wanted.most is None or (most is not None and most <= wanted.most))


def _within(node: Node, limit: int) -> bool:
    low = node.ge if node.ge is not None else node.gt
    high = node.le if node.le is not None else node.lt
    return low is not None and high is not None and low >= -limit and high <= limit


def _said(node: Node) -> str:
    """A type in a sentence."""
    told = [f"{n}={getattr(node, n)!r}" for n in CONSTRAINTS if getattr(node, n) is not None]
    name = {"none": "null", "ref": node.name}.get(node.kind, node.kind)
    return f"{name}({', '.join(told)})" if told else name
