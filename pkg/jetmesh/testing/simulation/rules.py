"""Whether a stream takes a message: each rule in a function, in the order of the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jetmesh import wire
from jetmesh.protocol import headers as header
from jetmesh.testing.simulation.log import Log
from jetmesh.testing.simulation.refused import Refused
from jetmesh.testing.simulation.schedules import due_at
from jetmesh.testing.simulation.subjects import is_plain, matches

_MOST_HEADERS: Final = 65_535
_ALL: Final = "all"


@dataclass(slots=True)
class Offered:
    """A message that somebody publishes."""

    subject: str
    headers: bytes
    payload: bytes
    values: Mapping[str, str] = field(init=False)
    """Its headers, read."""

    def __post_init__(self) -> None:
        self.values = wire.parse(self.headers, exact=True).values if self.headers else {}

    @property
    def message_id(self) -> str:
        return self.values.get(header.MESSAGE_ID, "")

    @property
    def size(self) -> int:
        return len(self.headers) + len(self.payload)


@dataclass(frozen=True, slots=True)
class Rules:
    """The configuration of a stream, and what it keeps."""

    config: Mapping[str, Any]
    log: Log

    @property
    def per_subject(self) -> int:
        """How many messages of each subject are kept; 0 is all."""
        return max(0, int(self.config.get("max_msgs_per_subject", 0)))

    @property
    def has_schedules(self) -> bool:
        return bool(self.config.get("allow_msg_schedules"))

    def takes(self, subject: str) -> bool:
        """Whether a message on `subject` belongs here."""
        subjects = self.config.get("subjects") or [self.config["name"]]
        return any(matches(pattern, subject) for pattern in subjects)

    def check_size(self, offered: Offered) -> None:
        """What no server will ever store."""
        if self.config.get("sealed"):
            raise Refused(400, 10109, "invalid operation on sealed stream")
        if len(offered.headers) > _MOST_HEADERS:
            raise Refused(400, 10097, "header size exceeds maximum allowed of 64k")
        if 0 < self.config.get("max_msg_size", -1) < offered.size:
            raise Refused(400, 10054, "message size exceeds maximum allowed")

    def due(self, offered: Offered) -> int | None:
        """When a schedule is due, in nanoseconds since 1970; None for any other message."""
        if header.SCHEDULE not in offered.values:
            return None
        if not self.has_schedules:
            raise Refused(400, 10188, "message schedules is disabled")
        try:
            due = due_at(offered.values[header.SCHEDULE])
        except ValueError:
            raise Refused(400, 10189, "message schedules pattern is invalid") from None
        target = offered.values.get(header.SCHEDULE_TARGET, "")
        if target == offered.subject or not is_plain(target) or not self.takes(target):
            raise Refused(400, 10190, "message schedules target is invalid")
        if offered.values.get(header.ROLLUP, header.ROLLUP_SUBJECT) != header.ROLLUP_SUBJECT:
            raise Refused(400, 10192, "message schedules invalid rollup")
        return due

    def cancelled(self, offered: Offered) -> str:
        """The subject of the schedule that a message removes; empty when it removes none."""
        schedule, word = (
            offered.values.get(name, "") for name in (header.SCHEDULER, header.SCHEDULE_NEXT)
        )
        if not (schedule or word):
            return ""
        is_named = word == header.PURGE and is_plain(schedule) and schedule != offered.subject
        if is_named and not self.has_schedules:
            raise Refused(400, 10188, "message schedules is disabled")
        there = self.log.last_on(schedule) if is_named else None
        if not is_named or (there is not None and header.SCHEDULE not in there.values):
            raise Refused(400, 10212, "message schedules invalid scheduler")
        return schedule

    def replaced(self, offered: Offered) -> str:
        """What goes when a message comes: a filter of subjects; empty for nothing."""
        word = offered.values.get(header.ROLLUP)
        if word is None:
            return ""
        if not self.config.get("allow_rollup_hdrs") and not self.has_schedules:
            raise Refused(500, 10111, "rollup not permitted")
        if word not in (header.ROLLUP_SUBJECT, _ALL):
            raise Refused(500, 10111, f'rollup value invalid: "{word}"')
        return ">" if word == _ALL else offered.subject

    def check_guard(self, offered: Offered) -> None:
        """A guarded publish names the last message that it knows of; 0 is none."""
        expected = offered.values.get(header.EXPECTED_SEQUENCE)
        filtered = offered.values.get(header.EXPECTED_ON)
        if expected is None:
            if filtered is not None:
                said = "missing sequence for expected last sequence per subject"
                raise Refused(400, 10193, said)
            return
        last = self.log.last_on(filtered or offered.subject)
        found = last.sequence if last else 0
        if not expected.isdecimal() or int(expected) != found:
            raise Refused(400, 10071, f"wrong last sequence: {found}")

    def check_room(self, offered: Offered) -> None:
        """A stream that discards the old makes room itself; one that discards the new refuses."""
        config = self.config
        if config.get("discard", "old") != "new":
            return
        is_full = 0 < self.per_subject <= self.log.count(offered.subject)
        if is_full and config.get("discard_new_per_subject"):
            raise Refused(503, 10077, "maximum messages per subject exceeded")
        if 0 < config.get("max_msgs", -1) <= len(self.log) - is_full:
            raise Refused(503, 10077, "maximum messages exceeded")
        size = len(offered.subject) + offered.size
        if 0 < config.get("max_bytes", -1) < self.log.bytes + size:
            raise Refused(503, 10077, "maximum bytes exceeded")
