"""The streams that the mesh itself keeps, beside those of the events."""

from __future__ import annotations

from typing import Final

JS_API: Final = "$JS.API"
"""How the subjects begin on which JetStream is asked, in its own domain and account."""
DEADLETTERS: Final = "DEADLETTERS"
REFUSALS: Final = "REFUSALS"
AUDIT: Final = "AUDIT"
"""What operators did; no service has anything to do with it (ADR-0025)."""
LANES: Final = "LANES"
"""What settings call all lane streams; before 0.3 the one stream that held every lane."""
CURSORS: Final = "CURSORS"
"""How the streams begin that hold how far ordered handlers have come on each key (ADR-0036)."""
STATES: Final = "states"
"""How the subjects of all states begin; each has a stream of its own (ADR-0033)."""
OWN_STREAMS: Final = (DEADLETTERS, REFUSALS, AUDIT, LANES)
_NOT_IN_NAMES: Final = frozenset(" \t\r\n.*>/\\:")
"""What the server refuses in the name of a stream, and the colon of our ids."""


def lane_stream(service: str) -> str:
    """The stream of a service's lanes, which no other service may touch (ADR-0019)."""
    return f"{LANES}_{service}"


def is_lane_stream(name: str) -> bool:
    """Whether lanes are in a stream of this name; the one of before counts, too."""
    return name == LANES or name.startswith(lane_stream(""))


def cursor_stream(service: str) -> str:
    """The stream of a service's cursors, which no other service may touch."""
    return f"{CURSORS}_{service}"


def is_cursor_stream(name: str) -> bool:
    """Whether cursors are in a stream of this name."""
    return name == CURSORS or name.startswith(cursor_stream(""))


def is_stream(text: str) -> bool:
    """Whether a stream may have this name."""
    return bool(text) and _NOT_IN_NAMES.isdisjoint(text)
