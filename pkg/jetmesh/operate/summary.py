"""What a stored event says, without anything sensitive: in one line, or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import Struct

from jetmesh.declare import EventSpec
from jetmesh.privacy.mask import MASK, masked
from jetmesh.privacy.sensitive import sensitive_values
from jetmesh.protocol.headers import APPLIED
from jetmesh.transport.reader import UNREADABLE, NewerVersion, reader_of
from jetmesh.transport.stored import StoredMessage

_LONGEST: Final = 160
_LONGEST_JSON: Final = 4000
_LONGEST_VALUE: Final = 60
_MEMBERS: Final = 3


def summary(spec: EventSpec, message: StoredMessage) -> str:
    """The fields of the event that fit in a line, without its key."""
    if not message.payload and APPLIED in message.headers:
        return "nothing is remembered of it"
    try:
        event = reader_of(spec).read_stored(message.payload, message.headers)
    except NewerVersion as newer:
        return str(newer)
    except UNREADABLE:
        return "does not keep its contract; jetmesh deadletters ls tells what became of it"
    hidden = set(sensitive_values(event))
    parts = []
    for name in event.__struct_fields__:
        text = _brief(getattr(event, name), hidden)
        if name != spec.key and text:
            parts.append(f"{name} {text}")
    return masked(", ".join(parts), event, longest=_LONGEST)


def as_json(spec: EventSpec, payload: bytes, headers: Mapping[str, str]) -> str:
    """The whole event, or why it cannot be read."""
    try:
        event = reader_of(spec).read_stored(payload, headers)
    except Exception as error:  # noqa: BLE001 - a contract's own check may raise anything
        return f"cannot be read: {masked(str(error))}"
    return masked(msgspec.json.encode(event).decode(), event, longest=_LONGEST_JSON)


def _brief(value: Any, hidden: set[str]) -> str:
    """A value in a few words; empty when it is nothing, sensitive or has no short form."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        text = masked(value, longest=_LONGEST_VALUE)
        return "" if value in hidden or MASK in text else text
    if isinstance(value, bool | int | float | Decimal):
        return str(value)
    if isinstance(value, Sequence):
        return _several(value, hidden)
    return ""


def _several(values: Sequence[Any], hidden: set[str]) -> str:
    """The first words of each member: the code of a reason, the name of an item."""
    parts = [_first(value, hidden) for value in values[:_MEMBERS]]
    more = len(values) - _MEMBERS
    if not any(parts):
        return f"({len(values)})" if values else ""
    return f"({', '.join(filter(None, parts))}{f' and {more} more' if more > 0 else ''})"


def _first(value: Any, hidden: set[str]) -> str:
    if not isinstance(value, Struct):
        return _brief(value, hidden)
    texts = (_brief(getattr(value, name), hidden) for name in value.__struct_fields__)
    return next(filter(None, texts), "")
