"""A stream: what it takes, what it keeps, and who is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jetmesh import wire
from jetmesh.protocol import headers as header
from jetmesh.protocol.times import time_text
from jetmesh.testing.simulation.clock import Clock
from jetmesh.testing.simulation.duplicates import DuplicateWindow
from jetmesh.testing.simulation.durable import Durable
from jetmesh.testing.simulation.log import Kept, Log
from jetmesh.testing.simulation.refused import Refused, no_durable
from jetmesh.testing.simulation.schedules import due_at, fired, with_rollup
from jetmesh.testing.simulation.subjects import matches

_TWO_MINUTES: Final = 120_000_000_000
_MOST_HEADERS: Final = 65_535
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
        self._per_subject = max(0, config.get("max_msgs_per_subject", 0))
        self._forget_old()
        if self._per_subject:
            for subject in self.log.subjects(">"):
                self._trim(subject)

    def takes(self, subject: str) -> bool:
        return any(matches(pattern, subject) for pattern in self.subjects)

    # publishing

    def publish(self, subject: str, headers: bytes, payload: bytes) -> Stored:
        """Store a message, or say which one is stored already.

        Raises:
            Refused: it is not stored, and `reason` says why.
        """
        values = wire.parse(headers, exact=True).values if headers else {}
        self._check_size(headers, payload)
        due = self._check_schedule(subject, values)
        message_id = values.get(header.MESSAGE_ID, "")
        # several servers agree on a message before they look at its guard, one does not
        if self._is_replicated and (first := self._taken_by(message_id)):
            return first, True
        self._check_guard(subject, values)
        if first := self._taken_by(message_id):
            return first, True
        self._make_room(subject, len(subject) + len(headers) + len(payload))
        if due is not None:
            self.purge(subject)
            headers = with_rollup(headers)
        kept = self._store(subject, headers, payload)
        if message_id:
            self.ids.take(message_id, kept.sequence)
        if due is not None:
            self._schedules[kept.sequence] = due
        return kept.sequence, False

    @property
    def _is_replicated(self) -> bool:
        return bool(self.config.get("num_replicas", 1) > 1)

    def _taken_by(self, message_id: str) -> int:
        return self.ids.sequence_of(message_id) if message_id else 0

    def _check_size(self, headers: bytes, payload: bytes) -> None:
        if self.config.get("sealed"):
            raise Refused(400, 10109, "invalid operation on sealed stream")
        if len(headers) > _MOST_HEADERS:
            raise Refused(400, 10097, "header size exceeds maximum allowed of 64k")
        most = self.config.get("max_msg_size", -1)
        if 0 < most < len(headers) + len(payload):
            raise Refused(400, 10054, "message size exceeds maximum allowed")

    def _check_schedule(self, subject: str, values: Mapping[str, str]) -> int | None:
        """When it is due, if it is a schedule."""
        if header.SCHEDULE not in values:
            return None
        if not self.config.get("allow_msg_schedules"):
            raise Refused(400, 10188, "message schedules is disabled")
        try:
            due = due_at(dict(values))
        except ValueError:
            raise Refused(400, 10189, "message schedules pattern is invalid") from None
        target = values.get(header.SCHEDULE_TARGET, "")
        if not target or target == subject or not self.takes(target):
            raise Refused(400, 10190, "message schedules target is invalid")
        return due

    def _check_guard(self, subject: str, values: Mapping[str, str]) -> None:
        """A guarded publish names the last message that it knows of; 0 is none."""
        expected = values.get(header.EXPECTED_SEQUENCE)
        if expected is None or not expected.isdecimal():
            return
        last = self.log.last_on(values.get(header.EXPECTED_ON) or subject)
        found = last.sequence if last else 0
        if found != int(expected):
            raise Refused(400, 10071, f"wrong last sequence: {found}")

    def _make_room(self, subject: str, size: int) -> None:
        """A stream that discards the old does so afterwards; one that discards the new refuses."""
        config = self.config
        if config.get("discard", "old") != "new":
            return
        if 0 < config.get("max_msgs", -1) <= len(self.log) and not self._replaces(subject):
            raise Refused(503, 10077, "maximum messages exceeded")
        if 0 < config.get("max_bytes", -1) < self.log.bytes + size:
            raise Refused(503, 10077, "maximum bytes exceeded")
        full = self._per_subject and self.log.subjects(subject).get(subject, 0) >= self._per_subject
        if full and config.get("discard_new_per_subject"):
            raise Refused(503, 10077, "maximum messages per subject exceeded")

    def _replaces(self, subject: str) -> bool:
        """Whether another message of its subject goes for it."""
        return bool(self._per_subject) and (
            self.log.subjects(subject).get(subject, 0) >= self._per_subject
        )

    def _store(self, subject: str, headers: bytes, payload: bytes) -> Kept:
        kept = self.log.add(subject, headers, payload, self.clock.now)
        for durable in self.durables.values():
            durable.stored(kept)
        if self._per_subject:
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
        for kept in self.log.matching(subject)[: -self._per_subject]:
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
        target = wire.parse(kept.headers).values[header.SCHEDULE_TARGET]
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
