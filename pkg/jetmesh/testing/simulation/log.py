"""The messages that a stream keeps: by their sequence, and by their subject."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from jetmesh import wire
from jetmesh.testing.simulation.subjects import is_plain, matches
from jetmesh.transport.stored import StoredMessage


@dataclass(frozen=True, slots=True)
class Kept:
    """One message, as it was published."""

    sequence: int
    subject: str
    headers: bytes
    """The block as it was sent; empty when there was none."""
    payload: bytes
    stored_ns: int

    @property
    def size(self) -> int:
        return len(self.subject) + len(self.headers) + len(self.payload)

    @property
    def values(self) -> dict[str, str]:
        """Its headers, read."""
        return wire.parse(self.headers, exact=True).values if self.headers else {}

    def of(self, stream: str) -> StoredMessage:
        """The same for who asks what the stream holds."""
        place = stream, self.sequence, self.subject
        return StoredMessage(*place, self.values, self.payload, self.stored_ns)


class Log:
    """Sequences only ever grow, also when everything was removed."""

    def __init__(self) -> None:
        self.last = 0
        """The sequence of the newest message, whether it is still there or not."""
        self.bytes = 0
        self._kept: dict[int, Kept] = {}
        self._of: dict[str, list[int]] = {}
        """By subject: the sequences of its messages, which ascend."""
        self._ending: dict[str, dict[str, None]] = {}
        """By the last token of subjects: those that are there. Most guards end with a key."""

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Kept]:
        return iter(list(self._kept.values()))

    @property
    def first(self) -> int:
        """The sequence of the oldest message; the next one's when there is none."""
        return next(iter(self._kept), self.last + 1)

    @property
    def oldest(self) -> Kept | None:
        return next(iter(self._kept.values()), None)

    def add(self, subject: str, headers: bytes, payload: bytes, now: int) -> Kept:
        self.last += 1
        kept = Kept(self.last, subject, headers, payload, now)
        self._kept[kept.sequence] = kept
        on_subject = self._of.get(subject)
        if on_subject is None:
            on_subject = self._of[subject] = []
            self._ending.setdefault(_last_token(subject), {})[subject] = None
        on_subject.append(kept.sequence)
        self.bytes += kept.size
        return kept

    def get(self, sequence: int) -> Kept | None:
        return self._kept.get(sequence)

    def remove(self, sequence: int) -> Kept | None:
        kept = self._kept.pop(sequence, None)
        if kept is not None:
            self.bytes -= kept.size
            on_subject = self._of[kept.subject]
            on_subject.remove(sequence)
            if not on_subject:
                del self._of[kept.subject]
                del self._ending[_last_token(kept.subject)][kept.subject]
        return kept

    def count(self, subject: str) -> int:
        """How many messages a subject has."""
        return len(self._of.get(subject, ()))

    def last_on(self, pattern: str, *, until: int | None = None) -> Kept | None:
        """The newest message whose subject matches, up to a sequence."""
        until = self.last if until is None else until
        found = [0]
        for sequences in self._matching(pattern):
            at = bisect_right(sequences, until)
            found += sequences[max(0, at - 1) : at]
        return self._kept.get(max(found))

    def next_on(self, pattern: str, since: int, *, until: int | None = None) -> Kept | None:
        """The first message whose subject matches, from the sequence `since` on, up to another."""
        found = []
        for sequences in self._matching(pattern):
            at = bisect_left(sequences, since)
            found += sequences[at : at + 1]
        lowest = min(found, default=0)
        return self._kept.get(lowest) if until is None or lowest <= until else None

    def matching(self, pattern: str) -> list[Kept]:
        """All whose subject matches, in order."""
        return [self._kept[n] for n in sorted(chain.from_iterable(self._matching(pattern)))]

    def subjects(self, pattern: str) -> dict[str, int]:
        """The subjects that match, each with how many messages it has."""
        return {subject: len(self._of[subject]) for subject in self._names(pattern)}

    def _matching(self, pattern: str) -> list[list[int]]:
        return [self._of[subject] for subject in self._names(pattern)]

    def _names(self, pattern: str) -> list[str]:
        if is_plain(pattern):
            return [pattern] if pattern in self._of else []
        token = _last_token(pattern)
        some = self._of if token in ("*", ">") else self._ending.get(token, {})
        return [subject for subject in some if matches(pattern, subject)]


def _last_token(subject: str) -> str:
    return subject.rpartition(".")[2]
