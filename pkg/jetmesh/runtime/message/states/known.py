"""What a process knows of the state of each key: the newest message, and who waits for it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from jetmesh import wire
from jetmesh.protocol import headers as header
from jetmesh.protocol.deadlines import Pending, pending_of
from jetmesh.protocol.steps import (
    Applied,
    Floor,
    Following,
    Input,
    applied_of,
    following_of,
)
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.metrics import HandlerStats
from jetmesh.runtime.message.states.ringing import Effect
from jetmesh.transport.reader import Reader
from jetmesh.transport.stored import StoredMessage

_KEPT: Final = 50_000
"""So many keys are kept in memory while nothing happens to them."""
_KEPT_BYTES: Final = 32 * 1024 * 1024
"""So large all of these are at most, as they are stored."""


@dataclass(slots=True)
class Known:
    """The newest message of a key, as far as this process knows; it is not changed."""

    sequence: int
    payload: bytes
    """The state as it is stored; empty when nothing is remembered of the key."""
    value: Any
    """The state; None when nothing is remembered, or it cannot be read."""
    unreadable: BaseException | None
    """Why it cannot be read."""
    applied: Applied
    following: tuple[Following, ...]
    """What is not known to be stored yet of all that follows from it."""
    size: int = 0
    """Bytes of headers and payload as they are stored."""
    pending: tuple[Pending, ...] = ()
    """The deadlines that it keeps."""
    unset: tuple[Pending, ...] = ()
    """Those that are not known to have an alarm."""


class Rememberer(Protocol):
    """One handler that remembers, as its steps see it."""

    floor: Floor
    """Everything of its durable up to there has its verdict."""
    stats: HandlerStats
    wants_floor: asyncio.Event
    """Set when a key has much to remember because the floor is not known to be higher."""

    def given(self, delivered: Delivered) -> Input:
        """What a delivery is to the state: the message that somebody published."""

    def cause(self, delivered: Delivered, subject: str) -> str:
        """What names a delivery in the state on `subject` that it changed (`Cause.id`)."""

    def handle(
        self, delivered: Delivered, value: Any, token: str
    ) -> tuple[Any, tuple[Effect, ...]]:
        """Call the handler with the state; the next one, `KEPT` or None, and what follows.

        Raises:
            BaseException: whatever the handler raises, and what is wrong with all it returns.
        """

    def remarked(self, applied: Applied, delivered: Delivered, before: Any, after: Any) -> Applied:
        """With what else the state's message is to say of what `handle` returned."""

    def waits_for_room(self, delivered: Delivered) -> None:
        """Know that nothing is done with a delivery until a floor is higher."""

    def postpone(self, delivered: Delivered) -> None:
        """Return a delivery for a while: too much waits already."""

    def handled(self, delivered: Delivered) -> None:
        """Its step and all that follows are stored."""

    def failed(self, delivered: Delivered, error: BaseException) -> None:
        """Judge what came of handling a delivery."""


KEPT: Final[Any] = object()
"""Instead of a state: it stays what it was."""
NOTHING: Final = Known(0, b"", None, None, Applied(), ())


@dataclass(slots=True, eq=False)
class Given:
    """A delivery that waits for its key; it is to be handled, or noted as one that comes again."""

    runner: Rememberer
    delivered: Delivered
    it: Input
    then: Callable[[], None] | None = None
    """What is to be done once it is noted; None: it is to be handled."""
    waited: bool = False
    """Its key had no room for it."""


class Line:
    """One key: what is known of it, and who waits for it, in order."""

    __slots__ = (
        "alone",
        "busy",
        "full",
        "given",
        "known",
        "looks",
        "lost",
        "pause",
        "size",
        "token",
    )

    def __init__(self, token: str) -> None:
        self.token = token
        self.known: Known | None = None
        """None: the stream has to be asked."""
        self.given: list[Given] = []
        self.full: list[Given] = []
        """Who found no room, and waits for it: the oldest first."""
        self.busy = False
        """Something is on its way for it."""
        self.alone = False
        """Of the next step one input only: together they were too large."""
        self.lost = False
        """Another replica was quicker than its last step."""
        self.pause = 0.0
        """Seconds at most before the next step, as long as replicas race for it."""
        self.size = 0
        """What it counts for as one that rests."""
        self.looks = 0
        """How often a message that has to be there was not, one after another."""


Lines: TypeAlias = "OrderedDict[str, Line]"


class Memory:
    """The lines of a state's keys; of those at rest the newest ones."""

    def __init__(self) -> None:
        self._lines: Lines = OrderedDict()
        self._bytes = 0

    def line(self, token: str) -> Line:
        """The line of a key, by its escaped form."""
        line = self._lines.get(token)
        if line is None:
            line = self._lines[token] = Line(token)
        return line

    def rest(self, line: Line) -> None:
        """Nothing waits for it now: it is kept as one of the newest."""
        lines = self._lines
        lines.move_to_end(line.token)
        size = line.known.size if line.known else 0
        self._bytes += size - line.size
        line.size = size
        while len(lines) > _KEPT or self._bytes > _KEPT_BYTES:
            oldest = next(iter(lines.values()))
            if oldest.busy or oldest.full:
                lines.move_to_end(oldest.token)
                return
            del lines[oldest.token]
            self._bytes -= oldest.size


def known_of(stored: StoredMessage | None, reader: Reader) -> Known:
    """What a stored message says; of a key that has none, nothing.

    Raises:
        msgspec.DecodeError, ValueError: its headers are not those of a step.
    """
    if stored is None:
        return NOTHING
    applied = applied_of(wire.legible(stored.headers.get(header.APPLIED, "")))
    following = following_of(wire.legible(stored.headers.get(header.FOLLOWING, "")))
    pending = pending_of(wire.legible(stored.headers.get(header.DEADLINES, "")))
    value, unreadable = None, None
    if stored.payload:
        try:
            value = reader.read_stored(stored.payload, stored.headers)
        except Exception as error:  # noqa: BLE001 - an upcaster may raise anything
            unreadable = error
    size = len(stored.payload) + sum(map(len, stored.headers.values()))
    about = value, unreadable, applied, following, size
    return Known(stored.sequence, stored.payload, *about, pending=pending, unset=pending)
