"""What a state's message says beside the state: what it has applied, and what follows from it.

A step is one stored message, guarded by the sequence of the one before (ADR-0033). So whatever is
written here changes together with the state, and only whoever read the newest may change it.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable
from typing import Final, Self

import msgspec
from msgspec import Raw, Struct

FULL: Final = 256
"""So many inputs of a key are remembered one by one; one that has more waits for its floor."""
LOWEST: Final = 128
"""So many find room beyond that, when they are the oldest of their source: the floor may wait for
them, so they cannot wait for the floor."""
_LATE: Final = 64
"""So many that came late are, of each key: the newest."""
_IGNORED: Final = 16
"""So many that were not expected are told of each key: the newest."""

_UNTIL_ACKED: Final = f"{FULL} of its inputs lie above the ack floor, which an older one holds"
_UNTIL_REPLAYED: Final = f"{FULL} of its inputs failed, and wait on the lane or as dead letters"


class Full(Exception):  # noqa: N818 - no error: the key waits
    """The key has no room to remember one more input; it says until when."""


class Floor(Struct, array_like=True, frozen=True):
    """Up to where a durable had acked everything, and when that was known.

    A message of such a sequence that was stored later is another one: its stream was made again.
    """

    sequence: int = 0
    at: int = 0
    """Nanoseconds since 1970, on the server's clock; the clocks of a cluster differ by less than
    what `floor_of` adds."""


_GROUND: Final = Floor()


class Input:
    """One message that a state is to take in."""

    __slots__ = ("sequence", "source", "stored", "token")

    def __init__(self, source: str, sequence: int, stored: int, token: str = "") -> None:
        self.source = source
        """The subject of its event: handlers may be renamed."""
        self.sequence = sequence
        self.stored = stored
        """Nanoseconds since 1970; with the sequence it names the message for ever."""
        self.token = token or f"{sequence}-{stored}"
        """As `Origin.token`."""


class Applied(Struct, frozen=True, omit_defaults=True):
    """Which inputs a state has taken in, and which are still to come."""

    floors: dict[str, Floor] = {}
    """By source: everything up to there had its verdict. What is not in `waiting` was applied."""
    inputs: dict[str, tuple[str, ...]] = {}
    """By source: tokens above the floor that were applied, by their sequence."""
    late: tuple[str, ...] = ()
    """Tokens, with their source, that were applied from a lane to which nobody had noted them."""
    waiting: tuple[str, ...] = ()
    """Tokens, with their source, that failed: they come again from the lane, or from a letter."""
    last: dict[str, int] = {}
    """By subject: the sequence of the newest output that followed from this key's steps."""
    unexpected: tuple[tuple[str, str], ...] = ()
    """Inputs that changed nothing, for the step of the process did not expect them, with the step:
    for people alone."""
    since: int = 0
    """When the process came to its step, in nanoseconds since 1970; 0: it has none."""

    def is_waiting(self, given: Input) -> bool:
        """Whether it failed, and comes again another way."""
        return bool(self.waiting) and _named(given) in self.waiting

    def has(self, given: Input) -> bool:
        """Whether there is nothing left to do for an input, but for what may wait for it."""
        floor = self.floors.get(given.source, _GROUND)
        if given.sequence <= floor.sequence and given.stored <= floor.at:
            return True
        return given.token in self.inputs.get(given.source, ())

    def came_late(self, given: Input) -> bool:
        """Whether it was applied from the lane, though nobody had noted it there."""
        return _named(given) in self.late

    def applied(self, given: Input, floor: Floor, *, late: bool = False) -> Self:
        """With one more input in the state.

        Raises:
            Full: there is no room for it.
        """
        raised = self._raised(given.source, floor)
        waiting = raised.waiting
        if waiting:
            waiting = tuple(each for each in waiting if each != _named(given))
        if late:
            kept = (*raised.late, _named(given))[-_LATE:]
            return msgspec.structs.replace(raised, waiting=waiting, late=kept)
        if raised.has(given):
            return msgspec.structs.replace(raised, waiting=waiting)
        tokens = raised.inputs.get(given.source, ())
        place = bisect(tokens, given.sequence, key=_sequence_of)
        if place >= LOWEST and raised.size >= FULL:
            raise Full(_UNTIL_ACKED)
        tokens = (*tokens[:place], given.token, *tokens[place:])
        return msgspec.structs.replace(
            raised, waiting=waiting, inputs={**raised.inputs, given.source: tokens}
        )

    @property
    def size(self) -> int:
        """How many inputs are remembered one by one."""
        return sum(map(len, self.inputs.values()))

    def failed(self, given: Input) -> Self:
        """With one more input that comes again another way.

        Raises:
            Full: there is no room for it.
        """
        if self.is_waiting(given):
            return self
        if len(self.waiting) >= FULL:
            raise Full(_UNTIL_REPLAYED)
        return msgspec.structs.replace(self, waiting=(*self.waiting, _named(given)))

    def is_ignored(self, given: Input) -> bool:
        """Whether it changed nothing, of those that are remembered of that."""
        return any(each == _named(given) for each, _ in self.unexpected)

    def ignored(self, given: Input, step: str) -> Self:
        """With one more input that the step did not expect."""
        kept = (*self.unexpected, (_named(given), step))[-_IGNORED:]
        return msgspec.structs.replace(self, unexpected=kept)

    def followed(self, subject: str, sequence: int) -> Self:
        """Knowing where the newest output on a subject is."""
        return msgspec.structs.replace(self, last={**self.last, subject: sequence})

    def _raised(self, source: str, floor: Floor) -> Self:
        """With a floor that is as high as is known, and without what lies below it."""
        known = self.floors.get(source, _GROUND)
        if floor.at <= known.at:
            return self
        tokens = self.inputs.get(source, ())
        if floor.sequence < known.sequence and not any(_is_later(t, known) for t in tokens):
            return self  # the durable was made again, and comes to what is applied once more
        above = tuple(
            sorted((each for each in tokens if not _is_below(each, floor)), key=_sequence_of)
        )
        return msgspec.structs.replace(
            self,
            floors={**self.floors, source: floor},
            inputs={**self.inputs, source: above},
        )


class Following(Struct, array_like=True, frozen=True):
    """An output of a step that is not known to be stored yet."""

    subject: str
    id: str
    payload: Raw
    version: int = 1
    """Of its type, when the step was made."""


_applied = msgspec.json.Decoder(Applied)
_following = msgspec.json.Decoder(tuple[Following, ...])
_encode = msgspec.json.Encoder().encode


def applied_text(applied: Applied) -> str:
    """As a header says it."""
    return _encode(applied).decode()


def applied_of(text: str) -> Applied:
    """What `applied_text` wrote.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _applied.decode(text) if text else Applied()


def following_text(outputs: Iterable[Following]) -> str:
    """As a header says it."""
    return _encode(tuple(outputs)).decode()


def following_of(text: str) -> tuple[Following, ...]:
    """What `following_text` wrote.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _following.decode(text) if text else ()


def _named(given: Input) -> str:
    return f"{given.source} {given.token}"


def _sequence_of(token: str) -> int:
    return int(token.partition("-")[0])


def _is_below(token: str, floor: Floor) -> bool:
    sequence, _, stored = token.partition("-")
    return int(sequence) <= floor.sequence and int(stored) <= floor.at


def _is_later(token: str, floor: Floor) -> bool:
    """Whether it has a sequence that another message had before: the stream was made again."""
    sequence, _, stored = token.partition("-")
    return int(sequence) <= floor.sequence and int(stored) > floor.at
