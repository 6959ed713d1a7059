"""The cursor of one key: how far an ordered handler has come on its subject (ADR-0036).

What is done of a key is always the beginning of it, so its end is all that has to be known. Every
change of a cursor is one stored message, guarded by the one before: whoever changes it has read
the newest.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import msgspec
from msgspec import Struct

from jetmesh.protocol.steps import Floor

AGAIN: Final = "again"
"""In `Jetmesh-Line`: what failed and comes again, from the lane or as a replayed letter."""
DROP: Final = "drop"
"""As above: a letter was dropped, so its message counts as done."""
_CLOCKS_NS: Final = 1_000_000_000
"""By less than this the clocks of a cluster's servers differ: times of one stream may go back."""


class Place(NamedTuple):
    """One stored message of the key's subject."""

    sequence: int
    stored: int
    """Nanoseconds since 1970; with the sequence it names the message for ever."""


class Cursor(Struct, frozen=True, omit_defaults=True):
    """How far one key has come."""

    done: Floor = Floor()
    """Everything up to there is done: handled, or dropped."""
    first: int = 0
    """From this one on, messages have left the durable without being done; 0: none has."""
    last: int = 0
    """The last one of which that is known."""
    away: Place | None = None
    """The next one, if it failed: it comes again from the lane, or from a letter."""
    holder: str = ""
    """The delivery under which somebody goes on with what waits: another one that comes again, as
    when its ack was lost, holds nothing. Empty: it is not known."""
    free: int = 0
    """What comes again and is stored up to there waits for no turn: code that keeps no order let
    the key go."""

    @property
    def is_open(self) -> bool:
        """Whether messages wait that no durable delivers any more."""
        return self.last > self.done.sequence

    @property
    def stand(self) -> str:
        """How far the key is: another word as soon as it went on, or its next message failed."""
        away = f"-{self.away.sequence}" if self.away else ""
        return f"{self.done.sequence}{away}"

    @property
    def has_waiting(self) -> bool:
        """Whether others wait, beside the one that failed."""
        return self.last > (self.away or self.done).sequence

    def has(self, place: Place) -> bool:
        """Whether a message is done."""
        return place.sequence <= self.done.sequence and place.stored <= self.done.at

    def covers(self, place: Place) -> bool:
        """Whether a message that is not done is for whoever holds the key, not for its delivery."""
        return self.is_open and self.first <= place.sequence <= self.last

    def is_past(self, place: Place) -> bool:
        """Whether it tells of a stream that was deleted, of which the message is not."""
        return place.sequence <= self.done.sequence and place.stored > self.done.at

    def is_away(self, place: Place) -> bool:
        """Whether the key waits for this very message to come again."""
        return self.away == place

    def is_free(self, place: Place) -> bool:
        """Whether a message that comes again is to be handled whenever it does."""
        return place.sequence <= self.free

    def start(self, floor: Floor) -> int:
        """From which sequence on the next message of the key is found.

        What lies below the floor has its verdict. Unless it left undone, it got that where no
        cursor is kept: from code that did not order yet. `floor` was known before the cursor was
        read, or a message might lie below it that had not left then.
        """
        passed = min(floor.sequence, self.first - 1) if self.is_open else floor.sequence
        return max(self.done.sequence, passed) + 1

    # changes

    def holds(self, delivery: str) -> bool:
        """Whether what waits is to go on under a delivery that comes again."""
        return self.is_open and self.away is None and self.holder in ("", delivery)

    def finished(self, place: Place, holder: str = "") -> Self:
        """With one more that is done, the next one of the key; `holder` goes on with the others."""
        if self.has(place):
            return self
        done = Floor(place.sequence, place.stored + _CLOCKS_NS)
        still = self.last > place.sequence
        return msgspec.structs.replace(
            self,
            done=done,
            first=max(self.first, place.sequence + 1) if still else 0,
            last=self.last if still else 0,
            away=None,
            holder=holder if still else "",
        )

    def held_by(self, holder: str) -> Self:
        """Knowing under which delivery somebody goes on with what waits."""
        return msgspec.structs.replace(self, holder=holder)

    def left(self, place: Place) -> Self:
        """Knowing that the next one failed, and comes again another way."""
        if self.is_free(place):
            return self
        return msgspec.structs.replace(self.waits(place), away=place)

    def waits(self, place: Place) -> Self:
        """Knowing that one leaves the durable, though another one is to be done before."""
        first = min(self.first, place.sequence) if self.is_open else place.sequence
        return msgspec.structs.replace(self, first=first, last=max(self.last, place.sequence))

    def closed(self) -> Self:
        """Knowing that nothing is left of all that waited."""
        return msgspec.structs.replace(self, first=0, last=0, away=None, holder="")

    def let_go(self, place: Place) -> Self:
        """Knowing that nobody keeps order any more, up to what waits and to this message."""
        free = max(self.free, self.last, place.sequence)
        return msgspec.structs.replace(self.closed(), free=free)


def begun(floor: Floor) -> Cursor:
    """Of a key that has no cursor: everything below the floor has its verdict."""
    return Cursor(done=floor)


_decoder = msgspec.json.Decoder(Cursor)
_encode = msgspec.json.Encoder().encode


def cursor_bytes(cursor: Cursor) -> bytes:
    """As it is stored."""
    return _encode(cursor)


def cursor_of(payload: bytes) -> Cursor:
    """What `cursor_bytes` wrote.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _decoder.decode(payload)
