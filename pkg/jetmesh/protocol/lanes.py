"""Lanes: where one handler's slow retries and replayed dead letters arrive, and nobody else's.

A message on a lane stands for another one, its origin, and says so in headers: what its handler
publishes has the origin as its cause, so an outcome that is stored already is not repeated
(ADR-0009).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from jetmesh.protocol import headers as header

_AT: Final = "@at "


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
        written = {
            header.SUBJECT: self.subject,
            header.STREAM: self.stream,
            header.SEQUENCE: self.sequence,
            header.STORED_AT: self.stored_at.isoformat(),
            header.ATTEMPTS: str(self.attempts),
        }
        return written | ({header.REPLAYS: str(self.replays)} if self.replays else {})


def origin_of(headers: Mapping[str, str]) -> Origin:
    """Read what `Origin.headers` wrote; a dead letter has the same headers.

    Raises:
        ValueError: one of the headers is missing or no number, as in a message typed by hand.
    """
    try:
        return Origin(
            headers[header.SUBJECT],
            headers[header.STREAM],
            str(int(headers[header.SEQUENCE])),
            _time(headers[header.STORED_AT]),
            int(headers.get(header.ATTEMPTS, "0")),
            int(headers.get(header.REPLAYS, "0")),
        )
    except KeyError as error:
        raise ValueError(f"the header {error} is missing") from error


def schedule(target: str, at: datetime) -> dict[str, str]:
    """The headers that make the server deliver a message on `target` at a time (ADR-51)."""
    return {
        header.SCHEDULE: f"{_AT}{at.astimezone(UTC).isoformat().replace('+00:00', 'Z')}",
        header.SCHEDULE_TARGET: target,
    }


def scheduled_at(headers: Mapping[str, str]) -> str:
    """The time that `schedule` wrote, in ISO 8601; empty when the message is due."""
    return headers.get(header.SCHEDULE, "").removeprefix(_AT)


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
