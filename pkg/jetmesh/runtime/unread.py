"""Stored events that a reader cannot read: it works on, and may not be well (ADR-0028)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jetmesh.protocol.headers import MESSAGE_ID
from jetmesh.protocol.ids import cause_of
from jetmesh.protocol.unread import lacking, passing_over
from jetmesh.transport.reader import Reader

ANY: Final = -1
"""As the number that is allowed: however many."""


_NOBODY: Final = "\n"
"""No header's value begins so."""


@dataclass(slots=True)
class _Left:
    """Of one event."""

    first: str
    why: str
    count: int = 0


class Unread:
    """What one reader left out since it began: how many events, which was the first, and why.

    Bytes that no version of a contract could have read are no events, and nothing is missing
    without them.
    """

    def __init__(self, reader: str) -> None:
        self.reader = reader
        """Who could not read, in words."""
        self._left: dict[str, _Left] = {}

    @property
    def count(self) -> int:
        return sum(each.count for each in self._left.values())

    @property
    def first(self) -> str:
        """`ORDERS:17`; empty when nothing was left out."""
        return next((each.first for each in self._left.values()), "")

    @property
    def why(self) -> str:
        """Of the first, without what is sensitive."""
        return next((each.why for each in self._left.values()), "")

    def add(self, place: str, why: str, *, event: str = "") -> None:
        """Note the message that is stored at `place`; `why` is masked.

        `event` is its subject, where it may be handed over.
        """
        self._left.setdefault(event, _Left(place, why)).count += 1

    def hand_over(self, event: str, to: Unread) -> None:
        """Note elsewhere what was left out of one event."""
        if left := self._left.pop(event, None):
            to._left[event] = left

    def clear(self) -> None:
        """It reads everything once more."""
        self._left.clear()


class Senders:
    """Which events come from outside, as their messages show.

    Only its owner may publish what a service makes, and its messages have ids of handlers. So one
    message without such an id shows that anybody may publish the event; then no id of it proves
    anything, and what cannot be read is the fault of who sent it.
    """

    def __init__(self) -> None:
        self._outside: set[Reader] = set()
        self._handler = _NOBODY
        """How the ids of the handler begin that was seen last: to read an id costs a third of a
        fold."""

    def show_outside(self, reader: Reader, headers: Mapping[str, str]) -> bool:
        """Whether a message with these headers shows it of its event, for the first time."""
        named = headers.get(MESSAGE_ID, "")
        if reader in self._outside or named.startswith(self._handler):
            return False
        if reader.says_made_here(headers):
            if cause := cause_of(named):
                self._handler = f"{cause.service}:{cause.handler}:{cause.stream}:"
            return False
        self._outside.add(reader)
        return True

    def are_ours(self, reader: Reader) -> bool:
        """Whether, as far as is known, only services of the mesh publish the event."""
        return reader not in self._outside


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
        return lacking(unread.reader, unread.count, unread.first, unread.why)


class StrangeNote:
    """What speaks against nobody but who sent it."""

    def __init__(self, strange: Unread) -> None:
        self._strange = strange

    @property
    def note(self) -> str:
        """How much was passed over, in words; empty when nothing was."""
        strange = self._strange
        if not strange.count:
            return ""
        return passing_over(strange.reader, strange.count, strange.first, strange.why)
