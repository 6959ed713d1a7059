"""Lanes: where one handler's slow retries and replayed dead letters arrive, and nobody else's.

A message on a lane stands for another one, its origin, and says so in headers: what its handler
publishes has the origin as its cause, so an outcome that is stored already is not repeated
(ADR-0009).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

SUBJECT: Final = "Jetmesh-Subject"
STREAM: Final = "Jetmesh-Stream"
SEQUENCE: Final = "Jetmesh-Sequence"
STORED_AT: Final = "Jetmesh-Stored-At"
ATTEMPTS: Final = "Jetmesh-Attempts"
"""Failures so far. A replayed dead letter begins with 0 again."""
ERROR: Final = "Jetmesh-Error"
MESSAGE: Final = "Jetmesh-Message"
REPLAYS: Final = "Jetmesh-Replays"
"""How often the origin was replayed; absent until then."""

_OURS: Final = ("nats-", "jetmesh-")
_legal = re.compile(r"[^:\s]+:[^\r\n]*")


class Origin(NamedTuple):
    """The message for which one on a lane stands."""

    subject: str
    stream: str
    sequence: str
    stored_at: datetime
    attempts: int = 0
    replays: int = 0

    def headers(self) -> dict[str, str]:
        """What a message on a lane says about it."""
        told = {
            SUBJECT: self.subject,
            STREAM: self.stream,
            SEQUENCE: self.sequence,
            STORED_AT: self.stored_at.isoformat(),
            ATTEMPTS: str(self.attempts),
        }
        return told | ({REPLAYS: str(self.replays)} if self.replays else {})


def origin_of(headers: Mapping[str, str]) -> Origin:
    """Read what `Origin.headers` wrote; a dead letter tells it in the same words.

    Raises:
        ValueError: one of the headers is missing or no number, as in a message typed by hand.
    """
    try:
        return Origin(
            headers[SUBJECT],
            headers[STREAM],
            str(int(headers[SEQUENCE])),
            _time(headers[STORED_AT]),
            int(headers.get(ATTEMPTS, "0")),
            int(headers.get(REPLAYS, "0")),
        )
    except KeyError as error:
        raise ValueError(f"the header {error} is missing") from error


def carried(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that a message keeps on a lane: those that others gave it."""
    return {
        name: value
        for name, value in headers.items()
        if not name.lower().startswith(_OURS) and _legal.fullmatch(f"{name}:{value}")
    }


def lane_subject(service: str, handler: str, key_token: str) -> str:
    """Where `handler` gets what is meant for it alone; `_` stands for no key."""
    return f"lanes.{service}.{handler}.{key_token}"


def later_subject(service: str, handler: str, origin: Origin) -> str:
    """Where a retry waits for its time: one place for each origin."""
    return f"lanes.{service}.{handler}.{origin.stream}.{origin.sequence}.later"


def suspect_subject(service: str, handler: str, origin: Origin) -> str:
    """Where it is marked that a suspect runs alone."""
    return f"lanes.{service}.{handler}.{origin.stream}.{origin.sequence}.suspect"


def schedule(target: str, at: datetime) -> dict[str, str]:
    """The headers that make the server deliver a message on `target` at a time (ADR-51)."""
    return {
        "Nats-Schedule": f"@at {at.astimezone(UTC).isoformat().replace('+00:00', 'Z')}",
        "Nats-Schedule-Target": target,
    }


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
