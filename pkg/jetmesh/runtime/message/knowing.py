"""What is asked about one key: how far it is, which message is its next one, and who has that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from jetmesh.declare import EventSpec
from jetmesh.protocol.cursors import Cursor, Place
from jetmesh.protocol.steps import Floor
from jetmesh.runtime.message.asking import Asking
from jetmesh.runtime.message.cursors import Cursors, Kept
from jetmesh.runtime.message.line import Line, place_of
from jetmesh.transport.seam import Looks
from jetmesh.transport.stored import StoredMessage

LOOKS: Final = 20
"""After so many looks a message is gone that a follower did not have."""
_FLOOR_SECONDS: Final = 0.04


class Knowing:
    """What is known of the keys of one ordered handler."""

    def __init__(self, spec: EventSpec, cursors: Cursors, looks: Looks, asking: Asking) -> None:
        self.floor = Floor()
        """Everything of the durable up to there has its verdict."""
        self.wants_floor = asyncio.Event()
        self._stream, self._subject = spec.stream, spec.subject
        self._cursors = cursors
        self._looks = looks
        self._asking = asking

    async def read(self, line: Line) -> Kept:
        """The newest cursor, and before that the floor: nothing below it left undone since."""
        while not self.floor.at:
            self.wants_floor.set()
            await asyncio.sleep(_FLOOR_SECONDS)
        line.floor = self._floor_for(line)
        line.kept = await self._cursors.read(line.token, line.floor)
        return line.kept

    async def change(self, line: Line, change: Callable[[Cursor], Cursor]) -> None:
        """Store what a change makes of the newest cursor."""
        while True:
            cursor = change(line.kept.cursor)
            if cursor == line.kept.cursor:
                line.is_fresh = False
                return
            kept = await self._cursors.replace(line.token, line.kept, cursor)
            if kept is not None:
                line.kept, line.is_fresh = kept, True
                return
            await self.read(line)

    async def head(self, line: Line, cursor: Cursor) -> tuple[Place | None, StoredMessage | None]:
        """The next message of the key; None when it is not known which that is."""
        if cursor.away is not None:
            return cursor.away, None
        start = cursor.start(line.floor)
        stored = await self.next(line, start)
        here = [place_of(each) for each in line.given if not each.on_lane]
        first = min(here, default=None)
        if stored is None:  # a follower may have answered that is behind
            return (first if line.looks >= LOOKS else None), None
        if first and first.sequence < stored.sequence:
            return first, None  # it was removed since: who knows of a later one would know it
        return Place(stored.sequence, stored.stored_ns), stored

    async def next(self, line: Line, sequence: int) -> StoredMessage | None:
        """The first message of the key from a sequence on."""
        subject = f"{self._subject}.{line.token}"
        ask = partial(self._looks.since, self._stream, subject, sequence)
        return await self._asking.until_answered(ask, subject)

    def is_stuck(self, line: Line, armed: int, stored: StoredMessage) -> bool:
        """Whether nobody holds a key: it is where it was, and its next message has its verdict."""
        self.wants_floor.set()
        place = Place(stored.sequence, stored.stored_ns)
        passed = place.sequence <= line.floor.sequence and place.stored <= line.floor.at
        return armed == line.kept.cursor.done.sequence and passed and line.kept.cursor.covers(place)

    async def is_stray(self, line: Line, place: Place) -> bool:
        """Whether no line waits for it: its stream has another message there, or none.

        Or code that kept no order settled it.
        """
        if place.sequence <= line.floor.sequence and place.stored <= line.floor.at:
            return True
        stored = await self.next(line, place.sequence)
        return stored is not None and (stored.sequence, stored.stored_ns) != place

    def _floor_for(self, line: Line) -> Floor:
        """None of another stream, as of one that was deleted and made again."""
        floor = self.floor
        places = [place_of(each) for each in line.given if not each.on_lane]
        of_past = any(p.sequence <= floor.sequence and p.stored > floor.at for p in places)
        return Floor() if of_past else floor
