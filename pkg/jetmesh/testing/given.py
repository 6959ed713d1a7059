"""A `Delivery` that nobody delivered, and the subject of an event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from msgspec import Struct
from structlog.typing import FilteringBoundLogger

from jetmesh.declare import Delivery, declared_spec, escape_key, key_of
from jetmesh.protocol.ids import token_of
from jetmesh.protocol.times import nanoseconds_of, time_at

_NOON: Final = nanoseconds_of("2026-01-01T12:00:00Z")


def delivery(
    event: Struct,
    *,
    attempt: int = 1,
    sequence: int = 1,
    handler: str = "service.handler",
    now: datetime | None = None,
) -> Delivery:
    """The `Delivery` of `event`, as if stored at noon of the first day of 2026, UTC.

    `now`: the time that it tells; left out, that noon.
    """
    spec = declared_spec(type(event))
    stored_at = time_at(_NOON)
    key = key_of(spec, event)
    return _GivenDelivery(
        handler=handler,
        attempt=attempt,
        key=key,
        cause=f"{spec.stream}:{token_of(sequence, _NOON)}",
        correlation=key,
        stored_at=stored_at,
        now=now or stored_at,
        deadline=stored_at + timedelta(seconds=20),
        log=structlog.get_logger(),
    )


@dataclass(frozen=True, slots=True)
class _GivenDelivery:
    handler: str
    attempt: int
    key: str
    cause: str
    correlation: str
    stored_at: datetime
    now: datetime
    deadline: datetime
    log: FilteringBoundLogger


def subject_of(event: Struct) -> str:
    """The subject that `event` is published on."""
    spec = declared_spec(type(event))
    return f"{spec.subject}.{escape_key(key_of(spec, event))}" if spec.key else spec.subject
