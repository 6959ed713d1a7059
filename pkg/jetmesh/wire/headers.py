"""NATS headers: a version line, perhaps with a status, then `Name: value` lines (ADR-4)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

VERSION: Final = b"NATS/1.0"
_STATUS_DIGITS: Final = 3
_EXACT: Final = "surrogateescape"
"""How bytes that are no UTF-8 stand in a text."""


class Headers(NamedTuple):
    """A block of headers, read."""

    status: int
    """0 when the message has none; 404, 408, 409, 503 … otherwise."""
    description: str
    values: dict[str, str]
    """By the name as written; of a repeated name the last."""


def block(values: Mapping[str, str]) -> bytes:
    """The bytes of `values`.

    Raises:
        ValueError: a name or value would break the line it stands on.
    """
    lines = [VERSION.decode()]
    for name, value in values.items():
        if not _is_name(name) or "\r" in value or "\n" in value:
            raise ValueError(f"header {name!r} has a character that headers cannot carry")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode(errors=_EXACT)


@lru_cache(maxsize=1024)
def _is_name(text: str) -> bool:
    """Whether a header may be called so; most are a few, again and again."""
    return text.split() == [text] and ":" not in text


def parse(data: bytes, *, exact: bool = False) -> Headers:
    """Read a block; what is no header is passed over, as the server does.

    What is no UTF-8 is replaced. `exact` keeps it, for whoever hands headers on: `block` writes it
    as it was, and `legible` is what people may see of it.
    """
    first, *lines = data.decode(errors=_EXACT if exact else "replace").split("\r\n")
    status, _, description = first.removeprefix(VERSION.decode()).strip().partition(" ")
    values = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            values[name.strip()] = value.strip()
    known = len(status) == _STATUS_DIGITS and status.isdecimal()
    return Headers(int(status) if known else 0, description.strip(), values)


def legible(text: str) -> str:
    """What was read exactly, with what is no UTF-8 replaced."""
    return text if text.isascii() else bytes_of(text).decode(errors="replace")


def bytes_of(text: str) -> bytes:
    """What was read exactly, as it was."""
    return text.encode(errors=_EXACT)
