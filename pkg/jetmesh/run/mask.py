"""Personal data stays out of logs, headers and error texts: sensitive values are masked.

A contract marks a field with `Meta(extra={"sensitive": True})`. Beside these values, whatever
looks like an e-mail address is masked in every text, whoever wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

MASK: Final = "•••"
_LONGEST: Final = 500
_address = re.compile(r"[^\s<>\"'@]+@[^\s<>\"'@]+")
_quoted_value = re.compile(r"(Invalid enum value) .*?( - at|$)")


def sensitive_values(event: Any) -> Iterator[str]:
    """Every non-empty text in a field that is marked sensitive, however deep."""
    if isinstance(event, msgspec.Struct):
        marked = _marked_fields(type(event))
        for name in event.__struct_fields__:
            value = getattr(event, name)
            if name in marked and isinstance(value, str) and value:
                yield value
            else:
                yield from sensitive_values(value)
    elif isinstance(event, dict):
        for value in event.values():
            yield from sensitive_values(value)
    elif isinstance(event, list | tuple | set | frozenset):
        for value in event:
            yield from sensitive_values(value)


def masked(text: str, event: Any = None) -> str:
    """`text` in one printable line, without the sensitive values of `event`."""
    for value in sensitive_values(event):
        text = text.replace(value, MASK)
    text = _address.sub(MASK, _quoted_value.sub(r"\1\2", text))
    return printable(text)[:_LONGEST]


def printable(text: str) -> str:
    """`text` with control characters written out: no terminal, log or header obeys them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _marked_fields(cls: type[msgspec.Struct]) -> frozenset[str]:
    found = _marks.get(cls)
    if found is None:
        info = msgspec.inspect.type_info(cls)
        fields: tuple[Any, ...] = getattr(info, "fields", ())
        found = _marks[cls] = frozenset(f.name for f in fields if _is_marked(f.type))
    return found


def _is_marked(kind: Any) -> bool:
    extra: Callable[[str], Any] = (getattr(kind, "extra", None) or {}).get
    options = getattr(kind, "types", ())
    return bool(extra("sensitive")) or any(_is_marked(option) for option in options)


_marks: dict[type[msgspec.Struct], frozenset[str]] = {}
