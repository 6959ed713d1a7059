"""The streams that the mesh itself keeps, beside those of the events."""

from __future__ import annotations

from typing import Final

DEADLETTERS: Final = "DEADLETTERS"
REFUSALS: Final = "REFUSALS"
LANES: Final = "LANES"
OWN_STREAMS: Final = (DEADLETTERS, REFUSALS, LANES)
