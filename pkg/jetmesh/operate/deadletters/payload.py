"""The payload of a dead letter: where it is, and what of it people may see."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

from jetmesh.declare import EventSpec
from jetmesh.operate.deadletters.letter import Letter, LetterError
from jetmesh.privacy.mask import MASK, masked
from jetmesh.privacy.sensitive import sensitive_values
from jetmesh.protocol.headers import carried
from jetmesh.protocol.times import is_same_time
from jetmesh.transport.control import ControlPlane

_LONGEST: Final = 16_000
_READ: Final = 18_000
"""More than is shown, so that no address is cut in two and escapes its mask."""
_MOST_BYTES: Final = 512
_ROW: Final = 16
_MOST_VALUES: Final = 1_000
_SHORT: Final = 4
"""A shorter sensitive value is masked where it stands alone, not inside every other word."""

_quoted = re.compile(
    r""" "(?:[^"\\]|\\.)*+(?:"|\Z)(\s*+:)? | '(?:[^'\\]|\\.)*+(?:'|\Z)(\s*+:)? """,
    re.VERBOSE | re.DOTALL,
)


class Content(NamedTuple):
    """What is to be sent when a letter is replayed."""

    payload: bytes
    headers: dict[str, str]
    """Those that others gave the message."""


class PayloadView(NamedTuple):
    """A payload as people may see it."""

    kind: str
    """JSON, text, bytes or empty."""
    text: str
    left_out: int = 0
    """Characters, or bytes, that would follow."""


async def content_of(control: ControlPlane, letter: Letter) -> Content:
    """The original message, from the letter or from the stream where a large one was left.

    Raises:
        LetterError: it is not stored there any more.
        BrokerError: the broker does not answer.
    """
    if not letter.payload_in_stream:
        return Content(letter.message.payload, carried(letter.message.headers))
    origin = letter.origin
    place = f"{origin.stream}:{origin.sequence}"
    found = await control.message(origin.stream, int(origin.sequence))
    if found is None:
        raise _gone(letter, f"{place}, which is no longer stored")
    if found.subject != origin.subject or not is_same_time(found.stored_ns, origin.stored):
        raise _gone(letter, f"{place}, where another message stands now")
    return Content(found.payload, carried(found.headers))


def render(payload: bytes, spec: EventSpec | None) -> PayloadView:
    """The payload without what its contract marks as sensitive, and without e-mail addresses.

    What is no JSON but looks like it is shown without its quoted values; bytes that are no text
    are shown as such.
    """
    if not payload:
        return PayloadView("empty", "")
    try:
        raw = msgspec.json.decode(payload)
        hidden = list(dict.fromkeys(sensitive_values(raw, spec.type if spec else None)))
        laid_out = msgspec.json.format(msgspec.json.encode(_masked(raw, hidden)), indent=2)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _render_text(payload)
    return _cut("JSON", laid_out.decode())


def _masked(value: Any, hidden: list[str]) -> Any:
    if isinstance(value, dict):
        return {_text(name, hidden): _masked(each, hidden) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each, hidden) for each in value]
    if isinstance(value, str):
        return _text(value, hidden)
    if isinstance(value, int | float) and not isinstance(value, bool) and str(value) in hidden:
        return MASK
    return value


def _text(text: str, hidden: list[str]) -> str:
    if text in hidden or len(hidden) > _MOST_VALUES:
        return MASK
    for value in hidden:
        if len(value) >= _SHORT:
            text = text.replace(value, MASK)
    return masked(text, longest=_LONGEST) if "@" in text or "%40" in text else text


def _render_text(payload: bytes) -> PayloadView:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = "\0"
    lines = text[:_READ].splitlines()
    if not all(line.replace("\t", "").isprintable() for line in lines):
        first = payload[:_MOST_BYTES]
        rows = (first[start : start + _ROW] for start in range(0, len(first), _ROW))
        return PayloadView(
            "bytes", "\n".join(row.hex(" ") for row in rows), len(payload) - len(first)
        )
    cut = text[:_READ]
    if cut.lstrip().startswith(("{", "[")):
        cut = _quoted.sub(_unquoted, cut)
    lines = [masked(line, longest=_READ) for line in cut.splitlines()]
    return _cut("text", "\n".join(lines), more=len(text) - len(text[:_READ]))


def _unquoted(match: re.Match[str]) -> str:
    """A name stays, a value goes: what it means nobody can tell any more."""
    return match[0] if match[1] or match[2] else f"{match[0][0]}{MASK}{match[0][0]}"


def _cut(kind: str, text: str, *, more: int = 0) -> PayloadView:
    return PayloadView(kind, text[:_LONGEST], len(text) - len(text[:_LONGEST]) + more)


def _gone(letter: Letter, where: str) -> LetterError:
    return LetterError(
        f"{letter.id} cannot be replayed as it was: its payload was too large for a letter and "
        f"was left in {where}.",
        remedy=f"Give another one: jetmesh deadletters replay {letter.sequence} --payload FILE.",
    )
