"""Whether all values of one plain type are among those of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jetmesh.operate.evolution.descriptor import EnumShape, Node, Shape


def members(node: Node, types: Mapping[str, Shape]) -> list[Any] | None:
    """The values of a literal or an enumeration; None: there are too many to name."""
    if node.kind == "literal":
        return list(node.values)
    shape = types.get(node.name)
    if isinstance(shape, EnumShape) and not shape.flag:
        return list(shape.members.values())
    return None


def fits(writer: Node, reader: Node, sort: str) -> bool:
    """Whether each value that is written is one that is read."""
    if sort in ("int", "float"):
        return _number(writer, reader, sort)
    if reader.kind == "str":
        limited = (reader.min_length or 0, reader.max_length, reader.pattern) != (0, None, None)
        return not limited or (writer.kind == "str" and _text(writer, reader))
    if writer.kind != reader.kind:
        return False
    if reader.kind == "bytes":
        return _text(writer, reader)
    return reader.tz is None or writer.tz == reader.tz


def _text(writer: Node, reader: Node) -> bool:
    most = writer.max_length
    short = reader.max_length is None or (most is not None and most <= reader.max_length)
    long = (writer.min_length or 0) >= (reader.min_length or 0)
    return short and long and reader.pattern in (None, writer.pattern)


def _number(writer: Node, reader: Node, sort: str) -> bool:
    if reader.kind == "decimal":
        return True
    if reader.kind == "int" and sort == "float":
        return False
    limits = (reader.gt, reader.ge, reader.lt, reader.le, reader.multiple_of)
    if writer.kind not in ("int", "float"):
        return all(limit is None for limit in limits)
    step = reader.multiple_of
    exact = step is None or (writer.multiple_of is not None and writer.multiple_of % step == 0)
    return exact and _low(writer, reader) and _high(writer, reader)


def _low(writer: Node, reader: Node) -> bool:
    if reader.gt is None and reader.ge is None:
        return True
    if writer.gt is None and writer.ge is None:
        return False
    least = _least(writer)
    wanted = _least(reader)
    if writer.kind == "int" and writer.gt is not None:
        least = (int(writer.gt) + 1, 0)
    return least >= wanted


def _least(node: Node) -> tuple[float, int]:
    """The bound, and whether it is itself left out."""
    return (node.gt, 1) if node.gt is not None else (node.ge or 0, 0)


def _high(writer: Node, reader: Node) -> bool:
    if reader.lt is None and reader.le is None:
        return True
    if writer.lt is None and writer.le is None:
        return False
    most, wanted = _most(writer), _most(reader)
    if writer.kind == "int" and writer.lt is not None:
        most = (int(writer.lt) - 1, 0)
    return most <= wanted


def _most(node: Node) -> tuple[float, int]:
    return (node.lt, -1) if node.lt is not None else (node.le or 0, 0)
