"""A stream: what it takes, what it keeps, and who is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jetmesh.protocol import headers as header
from jetmesh.protocol.times import time_text
from jetmesh.testing.simulation.clock import Clock
from jetmesh.testing.simulation.duplicates import DuplicateWindow
from jetmesh.testing.simulation.durable import Durable
from jetmesh.testing.simulation.log import Kept, Log
from jetmesh.testing.simulation.refused import no_durable
from jetmesh.testing.simulation.rules import Offered, Rules
from jetmesh.testing.simulation.schedules import fired, with_rollup

_TWO_MINUTES: Final = 120_000_000_000
Stored = tuple[int, bool]
"""The sequence, and whether it is that of a message before: a duplicate."""


class Stream:
    """One stream of a simulated server (`clock.Timed`: its schedules, and what grows too old)."""

    def __init__(self, config: Mapping[str, Any], clock: Clock) -> None:
        self.clock = clock
        self.created = clock.now
        self.log = Log()
        self.durables: dict[str, Durable] = {}
        self._schedules: dict[int, int] = {}
        """By sequence: when it is due."""
        self.ids = DuplicateWindow(clock, _TWO_MINUTES)
        self.configure(config)
        clock.watch(self)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Hold another configuration from now on; what it has no room for goes at once."""
        self.config = dict(config)
        self.name: str = config["name"]
        self.subjects: list[str] = list(config.get("subjects") or [self.name])
        self.ids.window = config.get("duplicate_window") or _TWO_MINUTES
        self._rules = Rules(self.config, self.log)
        self.takes = self._rules.takes
        self._forget_old()
        for subject in self.log.subjects(">"):
            self._trim(subject)

    # publishing

    def publish(self, subject: str, headers: bytes, payload: bytes) -> Stored:
        """Store a message, or say which one is stored already.

        Raises:
            Refused: it is not stored, and `reason` says why.
        """
        offered, rules = Offered(subject, headers, payload), self._rules
        rules.check_size(offered)
        # several servers agree on a message before they look at its guard, one does not
        if self.config.get("num_replicas", 1) > 1 and (first := self._taken_by(offered)):
            return first, True
        rules.check_guard(offered)
        due, cancelled = rules.due(offered), rules.cancelled(offered)
        if first := self._taken_by(offered):
            return first, True
        replaced = rules.replaced(offered)
        rules.check_room(offered)
        kept = self._store(subject, headers if due is None else with_rollup(headers), payload)
        if offered.message_id:
            self.ids.take(offered.message_id, kept.sequence)
        if due is not None:
            self._schedules[kept.sequence] = due
            replaced = subject
        for gone in filter(None, (cancelled, replaced)):
            self.purge(gone, before=kept.sequence)
        return kept.sequence, False

    def _taken_by(self, offered: Offered) -> int:
        """The sequence of the first message with its id; 0 where it has none, or is the first."""
        return self.ids.sequence_of(offered.message_id) if offered.message_id else 0

    def _store(self, subject: str, headers: bytes, payload: bytes) -> Kept:
        kept = self.log.add(subject, headers, payload, self.clock.now)
        for durable in self.durables.values():
            durable.stored(kept)
        self._trim(subject)
        self._forget_surplus()
        return kept

    # forgetting

    def remove(self, sequence: int) -> None:
        """A message is gone; who has it without a verdict need give none any more."""
        if self.log.remove(sequence) is not None:
            self._schedules.pop(sequence, None)
            for durable in self.durables.values():
                durable.removed(sequence)

    def purge(self, pattern: str = ">", *, before: int = 0) -> int:
        """Remove what matches, perhaps only before a sequence; how many there were."""
        gone = [k.sequence for k in self.log.matching(pattern) if not before or k.sequence < before]
        for sequence in gone:
            self.remove(sequence)
        return len(gone)

    def _trim(self, subject: str) -> None:
        most = self._rules.per_subject
        if most and self.log.count(subject) > most:
            for kept in self.log.matching(subject)[:-most]:
                self.remove(kept.sequence)

    def _forget_surplus(self) -> None:
        """Only where the old is discarded can there be any."""
        most, most_bytes = self.config.get("max_msgs", -1), self.config.get("max_bytes", -1)
        while 0 < most < len(self.log) or 0 < most_bytes < self.log.bytes:
            self.remove(self.log.first)

    def _forget_old(self) -> None:
        age = self.config.get("max_age", 0)
        while age and (oldest := self.log.oldest) and oldest.stored_ns + age <= self.clock.now:
            self.remove(oldest.sequence)

    # time

    def due(self) -> int | None:
        times = list(self._schedules.values())
        if (age := self.config.get("max_age", 0)) and (oldest := self.log.oldest):
            times.append(oldest.stored_ns + age)
        return min(times, default=None)

    def ring(self) -> None:
        self._forget_old()
        now = self.clock.now
        for sequence, _ in sorted(self._schedules.items(), key=lambda each: each[::-1]):
            if self._schedules.get(sequence, now + 1) <= now:
                self._fire(sequence)

    def _fire(self, sequence: int) -> None:
        kept = self.log.get(sequence)
        assert kept is not None  # noqa: S101 - what is removed is scheduled no more
        target = kept.values[header.SCHEDULE_TARGET]
        self.remove(sequence)
        self._store(target, fired(kept.headers, kept.subject), kept.payload)

    # durables

    def durable(self, name: str) -> Durable:
        """Raises Refused: there is none of this name."""
        found = self.durables.get(name)
        if found is None:
            raise no_durable()
        return found

    def info(self, subjects_filter: str = "") -> dict[str, Any]:
        """As the server tells it."""
        log = self.log
        state: dict[str, Any] = {
            "messages": len(log),
            "bytes": log.bytes,
            "first_seq": log.first if log.last else 0,
            "last_seq": log.last,
            "num_subjects": len(log.subjects(">")),
            "consumer_count": len(self.durables),
        }
        told: dict[str, Any] = {}
        if subjects_filter:
            state["subjects"] = log.subjects(subjects_filter)
            told = {"total": len(state["subjects"]), "offset": 0, "limit": 100_000}
        times = {"created": time_text(self.created), "ts": time_text(self.clock.now)}
        return {"config": dict(self.config), **times, "state": state, **told}
