"""What is asked about one key: how far it is, which message is its next one, and who has that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from jetmesh.declare import Handler
from jetmesh.protocol.cursors import Cursor, Place
from jetmesh.protocol.lanes import Origin
from jetmesh.protocol.steps import Floor
from jetmesh.protocol.streams import DEADLETTERS, lane_stream
from jetmesh.protocol.subjects import deadletter_subject, lane_subject, retry_subject
from jetmesh.runtime.message.asking import Asking
from jetmesh.runtime.message.ordered.cursors import Cursors, Kept
from jetmesh.runtime.message.ordered.line import Line, place_of, placed
from jetmesh.transport.seam import Looks
from jetmesh.transport.stored import StoredMessage

LOOKS: Final = 20
"""After so many looks a message is gone that a follower did not have."""
_FLOOR_SECONDS: Final = 0.04


class Knowing:
    """What is known of the keys of one ordered handler."""

    def __init__(self, handler: Handler, cursors: Cursors, looks: Looks, asking: Asking) -> None:
        self.floor = Floor()
        """Everything of the durable up to there has its verdict."""
        self.wants_floor = asyncio.Event()
        self._handler = handler
        self._stream, self._subject = handler.input.stream, handler.input.subject
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
        return placed(stored), stored

    async def next(self, line: Line, sequence: int) -> StoredMessage | None:
        """The first message of the key from a sequence on."""
        subject = f"{self._subject}.{line.token}"
        ask = partial(self._looks.since, self._stream, subject, sequence)
        return await self._asking.until_answered(ask, subject)

    def is_settled(self, line: Line, stored: StoredMessage) -> bool:
        """Whether the durable delivers the next message no more, and the key waits for it."""
        self.wants_floor.set()
        place = placed(stored)
        passed = place.sequence <= line.floor.sequence and place.stored <= line.floor.at
        return passed and line.kept.cursor.covers(place)

    async def is_nowhere(self, line: Line, away: Place) -> bool:
        """Whether what failed is neither on the lane nor in a letter: somebody removed it."""
        handler, stream = self._handler, lane_stream(self._handler.service)
        about = handler.service, handler.name
        subject, number = f"{self._subject}.{line.token}", str(away.sequence)
        origin = Origin(subject, self._stream, number, away.stored)
        # in this order: what is due goes from the first to the second
        for place in (retry_subject(*about, origin), lane_subject(*about, line.token)):
            ask = partial(self._looks.newest, stream, place)
            if await self._asking.until_answered(ask, place):
                return False
        letters = deadletter_subject(*about, line.token)
        ask = partial(self._looks.last, DEADLETTERS, letters)
        return await self._asking.until_answered(ask, letters) is None

    async def is_stray(self, line: Line, place: Place) -> bool:
        """Whether no line waits for it: its stream has another message there, or none.

        Or code that kept no order settled it.
        """
        if place.sequence <= line.floor.sequence and place.stored <= line.floor.at:
            return True
        stored = await self.next(line, place.sequence)
        return stored is not None and placed(stored) != place

    def _floor_for(self, line: Line) -> Floor:
        """None of another stream, as of one that was deleted and made again."""
        floor = self.floor
        places = [place_of(each) for each in line.given if not each.on_lane]
        of_past = any(p.sequence <= floor.sequence and p.stored > floor.at for p in places)
        return Floor() if of_past else floor
