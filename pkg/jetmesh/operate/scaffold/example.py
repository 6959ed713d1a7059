"""An example of a contract: a value for every field that it demands, and how Python writes it."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
from msgspec import inspect

from jetmesh.declare import EventSpec
from jetmesh.operate.sample import sample

_WIDTH: Final = 88
_PLAIN: Final[dict[type, Any]] = {
    inspect.AnyType: "anything",
    inspect.BoolType: True,
    inspect.BytesType: "AAAA",
    inspect.DateTimeType: "2026-01-01T12:00:00Z",
    inspect.DateType: "2026-01-01",
    inspect.DecimalType: "1.00",
    inspect.NoneType: None,
    inspect.StrType: "text",
    inspect.TimeType: "12:00:00Z",
    inspect.TimeDeltaType: "PT1M",
    inspect.UUIDType: "00000000-0000-4000-8000-000000000001",
}


def example(spec: EventSpec, key: str) -> dict[str, Any] | None:
    """The least that the contract accepts, as JSON has it; None where that cannot be guessed."""
    try:
        value: dict[str, Any] = sample(inspect.type_info(spec.type), _leaf)
        if spec.key:
            value[spec.key_name] = key
        msgspec.json.decode(msgspec.json.encode(value), type=spec.type)
    except (msgspec.ValidationError, NotImplementedError):
        return None
    return value


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


def _leaf(kind: inspect.Type, path: str) -> Any:
    if isinstance(kind, inspect.UnionType):
        some = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
        return sample(some, _leaf, path=path)
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        least = kind.ge if kind.ge is not None else (kind.gt or 0) + 1
        return int(least) if isinstance(kind, inspect.IntType) else float(least)
    if type(kind) in _PLAIN:
        return _PLAIN[type(kind)]
    raise NotImplementedError(kind)
