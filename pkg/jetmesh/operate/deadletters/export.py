"""Dead letters as JSON lines, whole and unmasked, to be kept or worked on elsewhere."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from jetmesh import wire
from jetmesh.operate.deadletters.letter import Letter, LetterError
from jetmesh.operate.deadletters.payload import content_of
from jetmesh.operate.deadletters.store import find, notes
from jetmesh.privacy.mask import printable_json
from jetmesh.transport.control import ControlPlane

_AT_ONCE: Final = 64


async def lines(control: ControlPlane, sequences: Sequence[int]) -> AsyncIterator[bytes]:
    """One JSON object for each letter that is still there, in their order.

    Raises:
        BrokerError: the broker does not answer.
    """
    for start in range(0, len(sequences), _AT_ONCE):
        several = (_line(control, number) for number in sequences[start : start + _AT_ONCE])
        for line in await asyncio.gather(*several):
            if line:
                yield line


async def _line(control: ControlPlane, sequence: int) -> bytes:
    try:
        letter = await find(control, sequence)
    except LetterError:  # it went away since it was selected
        return b""
    line: dict[str, Any] = {
        "letter": letter.id,
        "subject": letter.message.subject,
        "stored_at": letter.message.stored_at,
        "notes": (await notes(control, [letter]))[sequence],
        **_headers(letter.message.headers),
        **await _payload(control, letter),
    }
    return printable_json(msgspec.json.encode(line)) + b"\n"


def _headers(given: Mapping[str, str]) -> dict[str, Any]:
    """Each as text, and those that are no UTF-8 exactly, too."""
    texts = {wire.legible(name): wire.legible(value) for name, value in given.items()}
    odd = {
        wire.legible(name): base64.b64encode(wire.bytes_of(value)).decode()
        for name, value in given.items()
        if wire.legible(value) != value
    }
    return {"headers": texts} | ({"headers_base64": odd} if odd else {})


async def _payload(control: ControlPlane, letter: Letter) -> dict[str, Any]:
    """As base64, and as text where it is one; the reason where there is none."""
    try:
        payload = (await content_of(control, letter)).payload
    except LetterError as error:
        return {"payload": None, "lost": error.message}
    encoded = {"payload": base64.b64encode(payload).decode()}
    try:
        return encoded | {"text": payload.decode()}
    except UnicodeDecodeError:
        return encoded
