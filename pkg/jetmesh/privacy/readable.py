"""What can be read of bytes that somebody published, whatever they were meant to be.

Nobody may be shown what is sensitive only because it came in another form than JSON. Nothing is
unpacked: what compressed bytes hold is not read here, and so not shown either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from jetmesh.protocol.content import as_utf8, is_form, is_msgpack

_ERRORS: Final = (msgspec.DecodeError, ValueError, RecursionError)
_quoted = re.compile(
    r""" "(?:[^"\\]|\\.)*+(?:"|\Z)(\s*+:)? | '(?:[^'\\]|\\.)*+(?:'|\Z)(\s*+:)? """,
    re.VERBOSE | re.DOTALL,
)
_number = re.compile(r"(?<![\w.])-?\d[\w.+-]*+")


class Data(NamedTuple):
    """Bytes as data."""

    kind: str
    """JSON, JSON lines, form data or msgpack."""
    values: list[Any]
    """One, or one for each line."""


def text_in(payload: bytes) -> str | None:
    """The text that bytes are, in whatever Unicode; None when they are none."""
    try:
        return as_utf8(payload).decode()
    except UnicodeError:
        return None


def data_in(payload: bytes) -> Data | None:
    """The data that bytes are; None when they are none that is read here."""
    text = text_in(payload)
    if text is None:
        return _packed(payload)
    try:
        return Data("JSON", [_json(text)])
    except _ERRORS:
        pass
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(line.lstrip().startswith("{") for line in lines):
        try:
            return Data("JSON lines", [_json(line) for line in lines])
        except _ERRORS:
            return None
    if is_form(text.strip()):
        return Data("form data", [_fields(text.strip())])
    return _packed(payload)


def within(text: str) -> Any:
    """The JSON that stands in a text, as in a JSON string; None when none does."""
    if not text.lstrip().startswith(("{", "[", '"')):
        return None
    try:
        return _json(text)
    except _ERRORS:
        return None


def scalars_in(text: str) -> Iterator[str]:
    """Every value in a text that looks like JSON and is none: what each means, nobody can tell."""
    for match in _quoted.finditer(text):
        if not (match[1] or match[2]):
            yield match[0].strip("\"'")
    for match in _number.finditer(_quoted.sub(" ", text)):
        yield match[0]


def without_scalars(text: str, mask: str) -> str:
    """The same text with its names only: values are masked."""

    def masked(match: re.Match[str]) -> str:
        return match[0] if match[1] or match[2] else f"{match[0][0]}{mask}{match[0][0]}"

    parts, last = [], 0
    for match in _quoted.finditer(text):
        parts += [_number.sub(mask, text[last : match.start()]), masked(match)]
        last = match.end()
    return "".join([*parts, _number.sub(mask, text[last:])])


def _json(text: str) -> Any:
    """JSON, and what is nearly JSON: with control characters, or NaN."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return json.loads(text, strict=False)


def _fields(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found[name] = [*found[name], value] if name in found else [value]
    return {name: several[0] if len(several) == 1 else several for name, several in found.items()}


def _packed(payload: bytes) -> Data | None:
    return Data("msgpack", [msgspec.msgpack.decode(payload)]) if is_msgpack(payload) else None
