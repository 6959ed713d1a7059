"""The event in a message, as whoever published it may have written it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from jetmesh import wire
from jetmesh.protocol.content import CLOUDEVENTS, PLUS, event_json
from jetmesh.protocol.headers import MARKER_REASON

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
_MARKER: Final = MARKER_REASON.encode()


class Removed(Exception):  # noqa: N818 - no error: the server says so of its own accord
    """The message is the server's mark that what was stored on its subject is gone."""


def read(decode: Callable[[bytes], Any], payload: bytes, headers: bytes) -> Any:
    """The event that `decode` finds in a message, within an envelope or behind a mark, too.

    Raises:
        Removed: there is none: the server tells that others are gone, and why.
        msgspec.DecodeError, UnicodeError, RecursionError: it cannot be read.
    """
    if PLUS not in headers or CLOUDEVENTS not in headers:
        try:
            return decode(payload)
        except _UNREADABLE:
            if not payload and _MARKER in headers:
                raise Removed(wire.parse(headers).values.get(MARKER_REASON, "")) from None
            if (found := event_in(payload, headers)) == payload:
                raise
            return decode(found)
    return decode(event_in(payload, headers))


def event_in(payload: bytes, headers: bytes) -> bytes:
    """The JSON of the event in a message, without what may stand around it."""
    return event_json(payload, wire.parse(headers).values if headers else {})
