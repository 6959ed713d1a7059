"""Whether an ordered handler kept order, and whether only those waited that had to.

Reckoned from what the handler wrote down, from what is stored, and from which moves were damaged
on purpose, with none of the mesh's own code.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.cluster.chaos.reader import Stored

STREAMS: Final = ("JOURNEYS", "MOVES", "TRACKS")
FOLLOWER: Final = "tracking:follow"
_LETTERS: Final = "deadletters.tracking.follow."
NOTE: Final = ".done"
"""How subjects of the same stream end on which it is noted what was done with a letter."""


@dataclass(slots=True)
class Track:
    """Everything known of one parcel."""

    stored: list[int] = field(default_factory=list)
    """Its moves by their numbers, in the order in which they must be followed."""
    begun: int = 0
    """The move that began last."""
    done: set[int] = field(default_factory=set)
    """Followed to the end, or dropped."""
    followed: list[int] = field(default_factory=list)
    """What followed from them, as it is stored."""
    letters: list[int] = field(default_factory=list)
    """Its dead letters by their sequence."""
    dropped: set[int] = field(default_factory=set)

    def head(self) -> int:
        """The first one that is not done; 0 when all are."""
        return next((number for number in self.stored if number not in self.done), 0)


class Tracks:
    """Folds what was read; `waiting` says what is missing, `violations` what can never heal."""

    def __init__(self, bad: Mapping[str, int]) -> None:
        self.tracks: dict[str, Track] = {}
        self.violations: list[str] = []
        self.released: dict[str, str] = {}
        """What was done with the letter of a parcel: replayed, dropped."""
        self._bad = bad
        """By parcel, the move that cannot be followed as it is; it grows while they are asked."""

    def track(self, parcel: str) -> Track:
        return self.tracks.setdefault(parcel, Track())

    # folding

    def make(self, messages: Iterable[Stored]) -> None:
        """Take over what is stored for the handler."""
        for message in messages:
            move = json.loads(message.payload)
            stored = self.track(move["parcel_id"]).stored
            if move["number"] in stored:
                self.violations.append(f"{message.subject}: {move['number']} is stored twice")
            stored.append(move["number"])

    def write(self, lines: Iterable[str]) -> None:
        """Take over what the handler wrote down."""
        for line in lines:
            what, parcel, number = line.split(",")
            self._judge(what, parcel, int(number))

    def follow(self, messages: Iterable[Stored]) -> None:
        """Take over what followed."""
        for message in messages:
            move = json.loads(message.payload)
            self.track(move["parcel_id"]).followed.append(move["number"])

    def bury(self, messages: Iterable[Stored]) -> None:
        """Take over the handler's dead letters, out of those of all."""
        for message in messages:
            if message.subject.startswith(_LETTERS) and not message.subject.endswith(NOTE):
                parcel = message.subject.removeprefix(_LETTERS)
                track = self.track(parcel)
                track.letters.append(message.sequence)
                if parcel not in self._bad or len(track.letters) > 1:
                    error = message.headers.get("Jetmesh-Error")
                    self.violations.append(f"a move of {parcel} was dead-lettered: {error}")

    def release(self, parcel: str, how: str) -> None:
        """The letter of a parcel is replayed or dropped at this moment."""
        self.released[parcel] = how
        if how == "dropped":
            track = self.track(parcel)
            track.dropped.add(self._bad[parcel])
            track.done.add(self._bad[parcel])

    def _judge(self, what: str, parcel: str, number: int) -> None:
        track = self.track(parcel)
        if number not in track.stored:
            self.violations.append(f"{parcel}: {number} was followed and is not stored")
        elif what == "end":
            track.done.add(number)
        else:
            head = track.head()
            if number not in (head, track.begun):  # the newest may come again after a crash
                self.violations.append(
                    f"{parcel}: {number} began after {track.begun}, when it was the turn of "
                    f"{head or 'none'}; they are stored as {track.stored}"
                )
            track.begun = number

    # judging

    def waiting(self, parcel: str, asked: int) -> str:
        """What a parcel of which so many moves were asked still lacks; empty when it rests.

        It rests when every move was followed, once and in order; a damaged one when what came
        before the damage was, and nothing behind it, until its letter is replayed or dropped.
        """
        track = self.track(parcel)
        if sorted(track.stored) != [*range(1, asked + 1)]:
            return f"{parcel}: {asked} moves were asked, {len(track.stored)} are stored"
        due = [number for number in track.stored if number not in track.dropped]
        if self.is_parked(parcel):
            if not track.letters:
                return f"{parcel} has no dead letter of {self._bad[parcel]}"
            due = due[: due.index(self._bad[parcel])]
        if track.followed != due:
            return f"{parcel} was followed as {track.followed} instead of {due}"
        return ""

    def is_parked(self, parcel: str) -> bool:
        """Whether what is behind its damaged move has to wait."""
        return parcel in self._bad and parcel not in self.released
