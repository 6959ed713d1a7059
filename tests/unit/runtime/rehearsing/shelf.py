"""A small service to rehearse, and its messages as they are stored."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from jetmesh import Service, event
from jetmesh.declare import derive
from jetmesh.runtime.rehearsing.rehearsal import Rehearsal
from jetmesh.runtime.rehearsing.report import Report
from jetmesh.runtime.rehearsing.stored import Known
from jetmesh.testing import subject_of
from jetmesh.transport.stored import StoredMessage

STORED_NS = 1_700_000_000_123_456_789


class Why(Enum):
    EMPTY = "empty"
    BROKEN = "broken"


@event("shelf-in.asked", key="id")
class Asked(Struct, frozen=True):
    id: str
    token: Annotated[str, Meta(extra={"sensitive": True})] = "tok_entrusted"  # noqa: S105 - what must not be seen
    amount: int = 1


@event("shelf.found", key="id", decision="shelf.*")
class Found(Struct, frozen=True):
    id: str
    amount: int = 1
    token: Annotated[str, Meta(extra={"sensitive": True})] = ""
    places: tuple[Why, ...] = ()


@event("shelf.missing", key="id", decision="shelf.*")
class Missing(Struct, frozen=True):
    id: str
    why: Why = Why.EMPTY
    text: str = ""


@event("shelf-log.noted", key="id")
class Noted(Struct, frozen=True):
    id: str


def stored(event: Struct | bytes, sequence: int = 1, **headers: str) -> StoredMessage:
    """A message as its stream keeps it."""
    data = event if isinstance(event, bytes) else msgspec.json.encode(event)
    subject = "shelf-in.asked.b-1" if isinstance(event, bytes) else subject_of(event)
    stream = subject.partition(".")[0].upper().replace("-", "_")
    return StoredMessage(stream, sequence, subject, headers, data, STORED_NS + sequence)


def known(asked: Struct | bytes, *made: Struct, sequence: int = 1, error: str = "") -> Known:
    """A message, and what came of it."""
    outputs = [stored(each, sequence) for each in made]
    fate = "made" if made else "letter" if error else "nothing"
    return Known(stored(asked, sequence), outputs, fate, error)  # type: ignore[arg-type]  # a literal


async def rehearsed(
    function: Callable[..., Any] | Service,
    *several: Known,
    allowed: tuple[str, ...] = (),
    **on: Any,
) -> Report:
    """What the rehearsal of one handler says."""
    if isinstance(function, Service):
        service = function
    else:
        service = Service("shelf-service")
        service.on(Asked, **on)(function)
    topology = derive([service])
    (handler,) = service.handlers
    return await Rehearsal(service, None, topology).compare(handler, several, allowed=allowed)
