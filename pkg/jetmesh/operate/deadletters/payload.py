"""The payload of a dead letter: where it is, and what of it people may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import EventSpec
from jetmesh.operate.deadletters.letter import Letter, LetterError
from jetmesh.privacy.mask import MASK, masked
from jetmesh.privacy.readable import data_in, text_in, within, without_scalars
from jetmesh.privacy.sensitive import is_sensitive, names_sensitive, sensitive_values
from jetmesh.protocol.headers import carried
from jetmesh.protocol.times import is_same_time
from jetmesh.protocol.versions import WHICHEVER
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.reader import reader_of

_LONGEST: Final = 16_000
_READ: Final = 18_000
"""More than is shown, so that no address is cut in two and escapes its mask."""
_MOST_VALUES: Final = 1_000
_SHORT: Final = 4
"""A shorter sensitive value is masked where it stands alone, not inside every other word."""
_LONGEST_HEADER: Final = 2_000


class Content(NamedTuple):
    """What is to be sent when a letter is replayed."""

    payload: bytes
    headers: dict[str, str]
    """Those that others gave the message."""


class PayloadView(NamedTuple):
    """A payload as people may see it."""

    kind: str
    """JSON, JSON lines, form data, msgpack, text, withheld, bytes, empty or lost."""
    text: str
    left_out: int = 0
    """Characters, or bytes, that would follow; all of them where nothing is shown."""


async def content_of(control: ControlPlane, letter: Letter) -> Content:
    """The original message, from the letter or from the stream where a large one was left.

    Raises:
        LetterError: it is not stored there any more.
        BrokerError: the broker does not answer.
    """
    if not letter.payload_in_stream:
        return Content(letter.message.payload, carried(letter.message.headers))
    origin = letter.origin
    found = await control.message(origin.stream, int(origin.sequence))
    if found is None:
        raise _gone(letter, f"{origin.place}, which is no longer stored")
    if found.subject != origin.subject or not is_same_time(found.stored_ns, origin.stored):
        raise _gone(letter, f"{origin.place}, where another message stands now")
    return Content(found.payload, carried(found.headers))


def hidden_in(spec: EventSpec, payload: bytes, headers: Mapping[str, str]) -> list[str] | None:
    """What is sensitive in an event of an older version: the contract no longer knows its names.

    None when it cannot be told, because nothing makes the newest version of it.
    """
    if spec.version == 1:
        return []
    reader, version = reader_of(spec), None
    try:
        version = reader.version_of(headers)
        return [*sensitive_values(reader.read_stored(payload, headers))]
    except Exception:  # noqa: BLE001 - a contract's own check may raise anything
        return [] if version in (WHICHEVER, spec.version) else None


def render(
    payload: bytes,
    contracts: Sequence[type[Struct]] = (),
    *,
    hidden: Sequence[str] | None = (),
) -> PayloadView:
    """The payload without what contracts mark as sensitive, and without e-mail addresses.

    Nor is anything shown of `hidden`, and no value at all when that is None.

    What is data in any form is laid out. What looks like JSON and is none keeps its names alone;
    a text that names something sensitive is withheld, and so are bytes that are no text, for who
    they are about nobody can tell.
    """
    if not payload:
        return PayloadView("empty", "")
    try:
        data = data_in(payload)
        if data is not None and hidden is not None:
            encoded = [_encoded(value, contracts, hidden) for value in data.values]
            laid_out = (msgspec.json.format(each, indent=2).decode() for each in encoded)
            return _cut(data.kind, "\n".join(laid_out))
    except (TypeError, ValueError, RecursionError):  # as a number that JSON cannot say
        pass
    text = text_in(payload)
    if text is None or not _is_text(text):
        return PayloadView("bytes", "", len(payload))
    return _render_text(text, contracts)


def header(name: str, value: str, contracts: Sequence[type[Struct]]) -> str:
    """The value of a header as people may see it."""
    value = wire.legible(value)
    words = name.split("-")
    tails = ("-".join(words[start:]) for start in range(len(words)))
    if carried({name: value}) and any(is_sensitive(tail, contracts) for tail in tails):
        return MASK
    found = within(value)
    if isinstance(found, dict | list):
        try:
            value = _encoded(found, contracts).decode()
        except (ValueError, RecursionError):  # half a surrogate pair, or too much
            value = without_scalars(value, MASK)
    return masked(value, longest=_LONGEST_HEADER)


def _encoded(
    value: Any, contracts: Sequence[type[Struct]], more_hidden: Sequence[str] = ()
) -> bytes:
    hidden = list(dict.fromkeys([*more_hidden, *sensitive_values(value, *contracts)]))
    return msgspec.json.encode(_masked(value, hidden))


def _masked(value: Any, hidden: list[str]) -> Any:
    if isinstance(value, dict):
        return {_name(name, hidden): _masked(each, hidden) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each, hidden) for each in value]
    if isinstance(value, str):
        return _text(value, hidden)
    if isinstance(value, int | float) and not isinstance(value, bool) and str(value) in hidden:
        return MASK
    if isinstance(value, bytes) and value.decode(errors="replace") in hidden:
        return MASK
    return value


def _name(name: Any, hidden: list[str]) -> Any:
    """A name in data, which in msgpack may be anything."""
    return _text(name, hidden) if isinstance(name, str) else name


def _text(text: str, hidden: list[str]) -> str:
    if text in hidden or len(hidden) > _MOST_VALUES:
        return MASK
    inner = within(text)
    if isinstance(inner, dict | list | str):
        return msgspec.json.encode(_masked(inner, hidden)).decode()
    for value in hidden:
        if len(value) >= _SHORT:
            text = text.replace(value, MASK)
    return masked(text, longest=_LONGEST) if "@" in text or "%40" in text else text


def _is_text(text: str) -> bool:
    """Whether a terminal can show the beginning of it."""
    start = text[:_READ]
    return all(line.replace("\t", "").isprintable() for line in start.splitlines()) or _like(start)


def _like(text: str) -> bool:
    return text.lstrip().startswith(("{", "["))


def _render_text(text: str, contracts: Sequence[type[Struct]]) -> PayloadView:
    cut = text[:_READ]
    if _like(cut):
        cut = without_scalars(cut, MASK)
    elif names_sensitive(text, contracts):
        return PayloadView("withheld", "", len(text))
    lines = [masked(line, longest=_READ) for line in cut.splitlines()]
    return _cut("text", "\n".join(lines), more=len(text) - len(text[:_READ]))


def _cut(kind: str, text: str, *, more: int = 0) -> PayloadView:
    return PayloadView(kind, text[:_LONGEST], len(text) - len(text[:_LONGEST]) + more)


def _gone(letter: Letter, where: str) -> LetterError:
    return LetterError(
        f"{letter.id} cannot be replayed as it was: its payload was too large for a letter and "
        f"was left in {where}.",
        remedy=f"Give another one: jetmesh deadletters replay {letter.sequence} --payload FILE.",
    )
