"""Stored events that a reader cannot read: it works on, and is not well (ADR-0028)."""

from __future__ import annotations

from typing import Final

ANY: Final = -1
"""As the number that is allowed: however many."""


class Unread:
    """What one reader left out since it began: how many events, which was the first, and why.

    Bytes that no version of a contract could have read are no events, and nothing is missing
    without them.
    """

    def __init__(self, reader: str) -> None:
        self.reader = reader
        """Who could not read, in words."""
        self.count = 0
        self.first = ""
        """`ORDERS:17`."""
        self.why = ""
        """Of the first, without what is sensitive."""

    def add(self, place: str, why: str) -> None:
        """Note the event that is stored at `place`; `why` is masked."""
        self.count += 1
        if self.count == 1:
            self.first, self.why = place, why

    def clear(self) -> None:
        """It reads everything once more."""
        self.count, self.first, self.why = 0, "", ""


class UnreadLimit:
    """What speaks against being ready: more is unread than is allowed."""

    def __init__(self, unread: Unread, allowed: int) -> None:
        self._unread = unread
        self._allowed = allowed

    @property
    def problem(self) -> str:
        """Who left out how much, in words; empty while it is not too much."""
        unread = self._unread
        if self._allowed == ANY or unread.count <= self._allowed:
            return ""
        return (
            f"{unread.reader} could not take {unread.count:,} stored "
            f"event{'' if unread.count == 1 else 's'}, the first is {unread.first} ({unread.why}); "
            "jetmesh can-deploy counts what is unread, "
            f"and may_skip = {unread.count} accepts it"
        )
