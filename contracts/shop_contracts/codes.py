"""Codes that may grow: what every enumeration that other teams read is made of."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """A set of codes with a member OTHER, which stands for every code newer than its reader.

    So a producer may add a code without breaking a listener that was deployed before.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self:
        # A wrong JSON type never gets here: msgspec refuses it before it looks for a member.
        if value == "other":
            raise TypeError(f"{cls.__name__} lacks the member OTHER")
        return cls("other")
