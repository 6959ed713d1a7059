"""Values without parts, as JSON has them: some of each kind, edge cases among them."""

from __future__ import annotations

import datetime as dt
import operator
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from jetmesh.operate.evolution.descriptor import Node

_TEXTS: Final = (
    *("", "a", "tea", "EUR", "A sentence of several words.", "1", "2.50", "2026-01-02"),
    *("x@example.test", "null", "ÄÖ", "p-1", "AB12", "0", "abcdefghijklmnopqrstuvwxyz" * 8),
)
_INTEGERS: Final = (0, 1, -1, 2, 7, 100, 2**53 + 1, -(2**53) - 1, 2**63, 10**25)
_FLOATS: Final = (0.0, 1.0, -1.5, 0.1, 3.75, 1e22, 1e-7, 1e300)
_DECIMALS: Final = ("9.00", "0", "-1.5", "1E+3", "12345678901234567890.5")
_ANYTHING: Final = (None, True, 1, 1.5, "text", [1, "a"], {"a": [1]})
_SHIFTED: Final = dt.timezone(dt.timedelta(hours=5, minutes=30))
_MOMENT: Final = dt.datetime(2026, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001 - naive on purpose


class Impossible(Exception):  # noqa: N818 - it is about a type, not a failure
    """No value of the type was found, for instance because of a pattern."""


def within(node: Node, value: Any) -> bool:
    """Whether a value in its written form keeps the node's constraints."""
    if node.kind in ("int", "float"):
        bounds: tuple[tuple[Any, Callable[[Any, Any], bool]], ...] = (
            (node.gt, operator.gt),
            (node.ge, operator.ge),
            (node.lt, operator.lt),
            (node.le, operator.le),
            (node.multiple_of, lambda x, step: x % step == 0),
        )
        return all(bound is None or holds(value, bound) for bound, holds in bounds)
    if node.kind == "bytes":
        length = len(value) // 4 * 3 - value.count("=")
    elif node.kind == "str":
        length = len(value)
    else:
        return True
    most = length if node.max_length is None else node.max_length
    fits = (node.min_length or 0) <= length <= most
    return fits and (node.pattern is None or bool(re.search(node.pattern, value)))


def _integers(node: Node) -> list[int]:
    bounds = [int(b) for b in (node.gt, node.ge, node.lt, node.le) if b is not None]
    step = int(node.multiple_of or 1)
    found = [*_INTEGERS, *(bound + n for bound in bounds for n in (-1, 0, 1))]
    return [*found, *(n // step * step for n in found), *(-(-n // step) * step for n in found)]


def _floats(node: Node) -> list[Any]:
    bounds = [b for b in (node.gt, node.ge, node.lt, node.le) if b is not None]
    near = [float(b) + n for b in bounds for n in (-1, -0.25, 0, 0.25, 1)]
    whole = [1, 0, -2, *(int(b) for b in bounds)]
    step = node.multiple_of
    steps = [step * n for n in range(-3, 4)] if step else []
    return [*_FLOATS, *near, *whole, *steps]


def _texts(node: Node) -> list[str]:
    lengths = {node.min_length or 0, node.max_length or 3}
    return [*_TEXTS, *(letter * n for n in lengths for letter in "a7é")]


def _bytes(node: Node) -> list[str]:
    lengths = {0, 1, 5, node.min_length or 0, node.max_length or 3}
    return [b64encode(bytes(range(n % 256))[:n] or b"").decode() for n in lengths]


def _moments(node: Node) -> list[Any]:
    naive = [_MOMENT, _MOMENT.replace(microsecond=0)]
    aware = [m.replace(tzinfo=tz) for m in naive for tz in (dt.UTC, _SHIFTED)]
    found = {True: aware, False: naive, None: aware + naive}[node.tz]
    return [value.isoformat().replace("+00:00", "Z") for value in found]


def _times(node: Node) -> list[str]:
    return [value.partition("T")[2] for value in _moments(node)]


LEAVES: Final[Mapping[str, Callable[[Node], list[Any]]]] = {
    "none": lambda _: [None],
    "bool": lambda _: [True, False],
    "int": _integers,
    "float": _floats,
    "str": _texts,
    "bytes": _bytes,
    "datetime": _moments,
    "time": _times,
    "date": lambda _: ["2026-01-02", "1999-12-31"],
    "timedelta": lambda _: ["PT1.5S", "P2D", "-PT1S"],
    "uuid": lambda _: [str(UUID(int=n)) for n in (0, 1, 2**127)],
    "decimal": lambda _: [Decimal(text) for text in _DECIMALS],
    "literal": lambda node: list(node.values),
    "any": lambda _: list(_ANYTHING),
}
