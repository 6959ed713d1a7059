"""The streams that the mesh itself keeps, beside those of the events."""

from __future__ import annotations

from typing import Final

JS_API: Final = "$JS.API"
"""How the subjects begin on which JetStream is asked, in its own domain and account."""
DEADLETTERS: Final = "DEADLETTERS"
REFUSALS: Final = "REFUSALS"
LANES: Final = "LANES"
OWN_STREAMS: Final = (DEADLETTERS, REFUSALS, LANES)
_NOT_IN_NAMES: Final = frozenset(" \t\r\n.*>/\\:")
"""What the server refuses in the name of a stream, and the colon of our ids."""


def is_stream(text: str) -> bool:
    """Whether a stream may have this name."""
    return bool(text) and _NOT_IN_NAMES.isdisjoint(text)
