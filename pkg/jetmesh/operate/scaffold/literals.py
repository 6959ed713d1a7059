"""Values as Python writes them, in lines that fit."""

from __future__ import annotations

import json
from typing import Any, Final

_WIDTH: Final = 88


def written(value: Any, indent: int = 0, room: int = 0) -> str:
    """`value` as a Python literal, over several lines where it is long."""
    short = _short(value)
    if len(short) + indent + room <= _WIDTH or not isinstance(value, dict | list) or not value:
        return short
    inner, outer = " " * (indent + 4), " " * indent
    if isinstance(value, dict):
        rows = [f"{_short(k)}: {written(v, indent + 4, len(k) + 6)}" for k, v in value.items()]
        return "{\n" + "".join(f"{inner}{row},\n" for row in rows) + f"{outer}}}"
    return "[\n" + "".join(f"{inner}{written(v, indent + 4, 1)},\n" for v in value) + f"{outer}]"


def converted(value: Any, name: str, indent: int, before: int) -> str:
    """The call that makes a `name` of `value`, on a line with `before` columns in front of it."""
    short = f"msgspec.convert({_short(value)}, {name})"
    if len(short) + indent + before <= _WIDTH:
        return short
    inner, outer = " " * (indent + 4), " " * indent
    return f"msgspec.convert(\n{inner}{written(value, indent + 4)},\n{inner}{name},\n{outer})"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_short(k)}: {_short(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
