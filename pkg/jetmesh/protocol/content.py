"""What a payload is: the JSON of an event, or what is sent in its place.

A healthy message is never looked at here, only one whose event could not be read.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

CLOUDEVENTS: Final = b"cloudevents+json"
"""Stands in the headers of a message whose payload is an envelope, as everybody spells it."""
PLUS: Final = ord("+")
"""Stands in it, and seldom elsewhere: to look for one byte first costs next to nothing."""
_CONTENT_TYPE: Final = "content-type"
_ENVELOPE: Final = "application/cloudevents+json"
_UNICODE: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, with which it begins
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_UNMARKED: Final = (  # how ASCII begins in them
    (re.compile(rb"(?:[\t-~]\0\0\0){2}"), "UTF-32-LE"),
    (re.compile(rb"(?:\0\0\0[\t-~]){2}"), "UTF-32-BE"),
    (re.compile(rb"(?:[\t-~]\0){2}"), "UTF-16-LE"),
    (re.compile(rb"(?:\0[\t-~]){2}"), "UTF-16-BE"),
)
_MAGIC: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x78\x9c", "zlib"),
    (b"\x78\xda", "zlib"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "a zip file"),
)
_form = re.compile(r"[\w.~%+\[\]-]+=[^&=\s]*(?:&[\w.~%+\[\]-]+=[^&=\s]*)*", re.ASCII)
UNDECODED: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What decoding raises where there is no JSON, or none of the type."""

ENVELOPE: Final = "a CloudEvents envelope"
_BATCH: Final = "a batch of CloudEvents"
LINES: Final = "several events, one on each line"
_PLAIN: Final = "publish it as JSON in UTF-8"
_REMEDIES: Final = {
    "empty": "publish the JSON of one event",
    ENVELOPE: f"publish it with the header Content-Type: {_ENVELOPE}, or its data alone",
    _BATCH: "publish the data of each alone",
    LINES: "publish each of them as a message of its own",
}


class _Envelope(msgspec.Struct):
    specversion: str
    data: msgspec.Raw = msgspec.Raw()
    data_base64: bytes = b""


def event_json(payload: bytes, headers: Mapping[str, str]) -> bytes:
    """The JSON of an event, without what may stand around it.

    A byte order mark of UTF-8 means nothing, as white space does, and what headers call a
    CloudEvent in structured mode is unwrapped. Any other payload is returned as it is.
    """
    payload = payload.removeprefix(codecs.BOM_UTF8)
    if not _is_enveloped(headers):
        return payload
    try:
        envelope = msgspec.json.decode(payload, type=_Envelope)
    except UNDECODED:  # as a payload that somebody corrected and whose headers stayed
        return payload
    return bytes(envelope.data) or envelope.data_base64


def seems(payload: bytes) -> str:
    """What a payload seems to be that is no event, in a few words; empty when nobody can tell."""
    if not payload.strip():
        return "empty"
    for start, name in _MAGIC:
        if payload.startswith(start):
            return name
    if (encoding := _encoding(payload)) is not None:
        return f"{encoding[:6]} text"
    try:
        text = payload.decode("utf-8-sig").strip()
    except UnicodeError:
        return "msgpack" if is_msgpack(payload) else ""
    return _seems_text(text) or ("msgpack" if is_msgpack(payload) else "")


def may_be_event(payload: bytes) -> bool:
    """Whether it is a JSON object, as an event of any version is."""
    try:
        return isinstance(msgspec.json.decode(payload.removeprefix(codecs.BOM_UTF8)), dict)
    except UNDECODED:
        return False


def remedy_for(content: str) -> str:
    """What to do about a payload that seems to be `content`."""
    return _REMEDIES.get(content, _PLAIN)


def as_utf8(text: bytes) -> bytes:
    """A file's text as JSON is written: without a byte order mark, and not in UTF-16 or UTF-32."""
    if (encoding := _encoding(text)) is None:
        return text.removeprefix(codecs.BOM_UTF8)
    return text.decode(encoding).encode()


def is_msgpack(payload: bytes) -> bool:
    """Whether all of it reads as one map or array of msgpack."""
    try:
        return isinstance(msgspec.msgpack.decode(payload), dict | list)
    except (*UNDECODED, ValueError, TypeError):
        return False


def is_form(text: str) -> bool:
    """Whether a text is what a form in a browser sends, `name=value&…`."""
    return _form.fullmatch(text) is not None


def _is_enveloped(headers: Mapping[str, str]) -> bool:
    return any(
        name.lower() == _CONTENT_TYPE and value.lower().startswith(_ENVELOPE)
        for name, value in headers.items()
    )


def _encoding(payload: bytes) -> str | None:
    """The Unicode encoding of a text that is none in UTF-8, with its byte order if unmarked."""
    named = next((name for mark, name in _UNICODE if payload.startswith(mark)), None)
    found = named or next((name for start, name in _UNMARKED if start.match(payload)), None)
    if found is None:
        return None
    try:
        text = payload.decode(found)
    except UnicodeError:
        return None
    return None if "\0" in text else found


def _seems_text(text: str) -> str:
    if text.startswith("<"):
        return "XML"
    if text.startswith("--") and "content-disposition:" in text.lower():
        return "form data"
    try:
        return _seems_json(msgspec.json.decode(text))
    except UNDECODED:
        pass
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(map(_is_object, lines)):
        return LINES
    return "form data" if is_form(text) else ""


def _seems_json(value: Any) -> str:
    if _is_envelope(value):
        return ENVELOPE
    if isinstance(value, list) and value and all(map(_is_envelope, value)):
        return _BATCH
    if isinstance(value, str) and _is_object(value):
        return "JSON in a JSON string"
    return ""


def _is_envelope(value: Any) -> bool:
    return isinstance(value, dict) and {"specversion", "type", "source"} <= value.keys()


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except UNDECODED:
        return False
