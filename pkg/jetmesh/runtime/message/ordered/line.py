"""One key of an ordered handler in one process: what was delivered of it, and what runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from enum import Enum
from time import perf_counter
from typing import Final

from jetmesh.protocol.cursors import Cursor, Place
from jetmesh.protocol.steps import Floor
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.ordered.cursors import Kept
from jetmesh.transport.stored import StoredMessage

_WAITS: Final = "waits "
_PATIENCE_SECONDS: Final = 0.1
"""So long a message that came too early waits here, before it leaves the durable."""


class End(Enum):
    """How the turn of a delivery ended."""

    HANDLED = 1
    AWAY = 2
    """It is on the lane, or in a letter."""
    BACK = 3
    """It was given back, and comes again as it was."""


class Line:
    """What this process knows of one key, and who waits in it."""

    __slots__ = (
        "changed",
        "end",
        "floor",
        "given",
        "is_fresh",
        "kept",
        "looked_after",
        "looks",
        "token",
        "turn",
    )

    def __init__(self, token: str) -> None:
        self.token = token
        self.given: list[Delivered] = []
        """What was delivered and has not had its turn."""
        self.turn: Delivered | None = None
        """What runs."""
        self.end: tuple[End, Callable[[], None]] | None = None
        """How that ended, and what settles it."""
        self.kept = Kept(0, Cursor())
        """The newest cursor that was seen."""
        self.is_fresh = False
        """It was stored just now, by this process."""
        self.floor = Floor()
        """The durable's, known before the cursor was read."""
        self.looked_after = 0.0
        """When it was stored last that somebody looks after it, on the clock of `perf_counter`."""
        self.looks = 0
        """How often a message that was delivered was not there, one after another."""
        self.changed = asyncio.Event()

    def patience(self, early: Iterable[Delivered]) -> float:
        """For how many seconds those that came too early may wait here, where they can."""
        if self.kept.cursor.is_open and self.kept.sequence:
            return 0.0
        return min(each.received for each in early) + _PATIENCE_SECONDS - perf_counter()

    async def pause(self, seconds: float | None) -> None:
        """Until something changes here, or time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.changed.wait()

    def remove(self, delivered: Delivered) -> None:
        """It has its turn, or another fate."""
        self.given = [each for each in self.given if each is not delivered]


class Parked:
    """How much waits in one handler behind messages that failed, as of the last look."""

    def __init__(self, name: str) -> None:
        self.keys = self.messages = 0
        """Messages: of the first keys, where there are many."""
        self.behind = ""
        """`PURCHASES:7`, for which one of them waits."""
        self._name = name

    @property
    def note(self) -> str:
        """What people should know of it, in words; empty when nothing waits."""
        if not self.keys:
            return ""
        keys, wait = ("key", "waits") if self.keys == 1 else ("keys", "wait")
        return (
            f"{self.keys:,} {keys} of {self._name} {wait} behind messages that failed, or "
            f"that only newer code reads, as {self.behind}, with {self.messages:,} more; "
            "replay or drop what is a dead letter: jetmesh deadletters"
        )


def place_of(delivered: Delivered) -> Place:
    """Where the message stands that a delivery is about."""
    origin = delivered.origin
    return Place(int(origin.sequence), origin.stored)


def placed(stored: StoredMessage) -> Place:
    """Where a stored message stands."""
    return Place(stored.sequence, stored.stored_ns)


def waits_since(stand: str) -> str:
    """What the lane message says that looks after a key: how far it was then (`Cursor.stand`)."""
    return f"{_WAITS}{stand}"


def armed_at(delivered: Delivered) -> str | None:
    """How far the key was that a delivery looks after; None for a delivery of another kind."""
    start, _, stand = delivered.line.partition(" ")
    return stand if f"{start} " == _WAITS and delivered.on_lane else None
