"""A durable consumer: what it has still to deliver, what has no verdict, what comes again."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from jetmesh.protocol.times import time_text
from jetmesh.testing.simulation.clock import SECOND, Clock
from jetmesh.testing.simulation.log import Kept, Log
from jetmesh.testing.simulation.subjects import matches

_ACK_WAIT: Final = 30 * SECOND
_MOST_PENDING: Final = 1000
_NAK: Final = b"-NAK"


@dataclass(slots=True)
class _Pending:
    """A delivered message without a verdict."""

    number: int
    """Of its first delivery."""
    due: int
    """When it comes again, in nanoseconds since 1970."""


class Pulling(Protocol):
    """Who pulls from a durable."""

    @property
    def asks(self) -> bool:
        """Whether it has room for more."""

    def wake(self) -> None:
        """The durable may have something to deliver."""

    def gone(self, reason: str) -> None:
        """Its durable was deleted."""


class Durable:
    """One durable of a stream (`clock.Timed`: what had no verdict in time)."""

    def __init__(self, name: str, config: Mapping[str, Any], log: Log, clock: Clock) -> None:
        self.name = name
        self.created = clock.now
        self.pulls: Sequence[Pulling] = ()
        self.pending: dict[int, _Pending] = {}
        self._log = log
        self._clock = clock
        self._again: deque[int] = deque()
        """What had no verdict in time, to be delivered before anything new."""
        self._times: dict[int, int] = {}
        """How often what has no verdict was delivered."""
        self._new: deque[int] = deque()
        """What is stored, matches and was never delivered."""
        self._deliveries = 0
        self._floor = (0, 0)
        """Everything up to there has its verdict: the number of the delivery, the sequence."""
        self._next = _first(config, log)
        """What is before it was delivered, or is none of its subjects."""
        self._floor = (0, self._next - 1)
        self.configure(config)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Have other filters or limits from now on: what was passed over stays passed over."""
        self._look()
        self.config = dict(config)
        one = config.get("filter_subject")
        self.filters: list[str] = list(config.get("filter_subjects") or ([one] if one else [">"]))
        self.acks = config.get("ack_policy", "explicit") != "none"
        self._ack_wait: int = config.get("ack_wait") or _ACK_WAIT
        most = config.get("max_ack_pending") or _MOST_PENDING
        self._most = most if most > 0 else 1 << 62
        self._find_new()

    def _find_new(self) -> None:
        self._new = deque(k.sequence for k in self._log if self._is_new(k))
        self._wake()

    # delivering

    @property
    def ready(self) -> bool:
        """Whether there is something to deliver to who asks."""
        return bool(self._again) or (bool(self._new) and len(self.pending) < self._most)

    def stored(self, kept: Kept) -> None:
        """The stream has a new message."""
        if self._is_new(kept):
            self._new.append(kept.sequence)
            self._wake()

    def deliver(self) -> tuple[Kept, int, int, int]:
        """What comes again first, then what is new: the message, how often, its number, the rest.

        Only while it is `ready`.
        """
        if self._again:
            sequence = self._again.popleft()
        else:
            sequence = self._new.popleft()
            self._next = sequence + 1
        kept = self._log.get(sequence)
        assert kept is not None  # noqa: S101 - what is removed is delivered no more
        self._deliveries += 1
        times = self._times.get(sequence, 0) + 1
        if self.acks:
            self._times[sequence] = times
            first = self.pending.get(sequence)
            number = first.number if first else self._deliveries
            self.pending[sequence] = _Pending(number, self._clock.now + self._ack_wait)
        else:
            self._floor = (self._deliveries, sequence)
        return kept, times, self._deliveries, len(self._new)

    def removed(self, sequence: int) -> None:
        """The stream has a message no more: it is as settled as can be."""
        if sequence in self.pending:
            self._settle(sequence)
        elif sequence in self._new:
            self._new.remove(sequence)

    # verdicts

    def settle(self, sequence: int, verdict: bytes) -> None:
        """What the receiver of a delivery says; a late word on what is settled changes nothing."""
        pending = self.pending.get(sequence)
        if pending is None:
            return
        word, _, about = verdict.partition(b" ")
        if word == b"+WPI":
            pending.due = self._clock.now + self._ack_wait
        elif word != _NAK:
            self._settle(sequence)
        elif about:
            pending.due = self._clock.now + json.loads(about)["delay"]
        else:
            self._come_again(sequence)

    def reset(self, sequence: int) -> None:
        """Begin anew with `sequence`, as if nothing had been delivered."""
        self.pending.clear()
        self._again.clear()
        self._times.clear()
        self._next, self._deliveries = max(1, sequence), 0
        self._floor = (0, self._next - 1)
        self._find_new()

    def give_up_waiting(self) -> None:
        """Deliver again now whatever has no verdict, as if `ack_wait` were over."""
        for sequence in sorted(self.pending):
            self._come_again(sequence)

    def forget_verdict(self, sequence: int) -> None:
        """Lose a verdict, as one server may when it is killed: it comes as if for the first time.

        So a first delivery is never known to be the first.
        """
        if sequence not in self.pending and self._log.get(sequence) is not None:
            self.pending[sequence] = _Pending(self._deliveries, self._clock.now)
            self._come_again(sequence)

    def _come_again(self, sequence: int) -> None:
        if sequence not in self._again:
            self._again.append(sequence)
            self._wake()

    def _settle(self, sequence: int) -> None:
        pending = self.pending.pop(sequence)
        self._times.pop(sequence, None)
        self._wake()
        if sequence in self._again:
            self._again.remove(sequence)
        if not self.pending:
            self._look()
            self._floor = (self._deliveries, self._next - 1)
        elif pending.number == self._floor[0] + 1:
            open_ones = [(n, each.number) for n, each in self.pending.items() if n > sequence]
            lowest, number = min(open_ones, default=(sequence + 1, pending.number + 1))
            self._floor = (number - 1, lowest - 1)

    # time

    def due(self) -> int | None:
        waiting = (each.due for n, each in self.pending.items() if n not in self._again)
        return min(waiting, default=None)

    def ring(self) -> None:
        now = self._clock.now
        for sequence in sorted(n for n, each in self.pending.items() if each.due <= now):
            self._come_again(sequence)

    # what is known of it

    def _is_new(self, kept: Kept) -> bool:
        return kept.sequence >= self._next and any(matches(f, kept.subject) for f in self.filters)

    @property
    def _is_pulled(self) -> bool:
        """Whether somebody asks it for more than there is."""
        return any(each.asks for each in self.pulls)

    def _wake(self) -> None:
        """There may be something to deliver."""
        for each in self.pulls:
            each.wake()

    def _look(self) -> None:
        """Somebody who waits has it look at all there is."""
        if not self._new and self._is_pulled:
            self._next = max(self._next, self._log.last + 1)

    def info(self, stream: str) -> dict[str, Any]:
        """As the server tells it."""
        self._look()
        return {
            "stream_name": stream,
            "name": self.name,
            "config": dict(self.config),
            "created": time_text(self.created),
            "ts": time_text(self._clock.now),
            "delivered": {"consumer_seq": self._deliveries, "stream_seq": self._next - 1},
            "ack_floor": {"consumer_seq": self._floor[0], "stream_seq": self._floor[1]},
            "num_ack_pending": len(self.pending),
            "num_redelivered": sum(times > 1 for times in self._times.values()),
            "num_pending": len(self._new),
            "num_waiting": int(self._is_pulled),
        }


def _first(config: Mapping[str, Any], log: Log) -> int:
    """The sequence that it begins with."""
    match config.get("deliver_policy", "all"):
        case "new":
            return log.last + 1
        case "by_start_sequence":
            return max(1, int(config.get("opt_start_seq", 1)))
        case "last":
            newest = log.last_on(config.get("filter_subject") or ">")
            return newest.sequence if newest else log.last + 1
        case _:
            return 1
