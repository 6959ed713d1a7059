"""What a simulated server holds, as a test wants to know it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import EventSpec, Handler, escape_key, unescape_key
from jetmesh.protocol import headers as header
from jetmesh.protocol.lanes import origin_of, scheduled_at
from jetmesh.protocol.streams import DEADLETTERS, lane_stream
from jetmesh.protocol.subjects import RETRY, address_of, deadletter_subject, lane_subject
from jetmesh.protocol.times import time_at
from jetmesh.testing.simulation.server import Server
from jetmesh.transport.reader import reader_of
from jetmesh.transport.stored import StoredMessage


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter."""

    handler: str
    """`payments.charge`."""
    key: str
    error: str
    """The class of the exception."""
    message: str
    """What it said."""
    attempts: int


@dataclass(frozen=True, slots=True)
class Retry:
    """Something that comes again."""

    handler: str
    key: str
    error: str
    """The class of the exception; empty where only the server knows of it."""
    at: datetime


def stored(server: Server, stream: str, pattern: str = ">") -> list[StoredMessage]:
    """All that a stream holds on subjects that match, in order."""
    held = server.streams.get(stream)
    return [kept.of(stream) for kept in held.log.matching(pattern)] if held else []


def events(server: Server, spec: EventSpec, key: str | None = None) -> list[Any]:
    """All stored events of one type, perhaps only of a key; the newest is the last."""
    pattern = spec.subject
    if spec.key:
        pattern += f".{'*' if key is None else escape_key(key)}"
    found = [each for each in stored(server, spec.stream, pattern) if each.payload]
    return [reader_of(spec).read_stored(each.payload, each.headers) for each in found]


def state(server: Server, spec: EventSpec, key: str) -> Struct | None:
    """What is remembered of a key now."""
    found = stored(server, spec.stream, f"{spec.subject}.{escape_key(key)}")
    if not found or not found[-1].payload:
        return None
    value: Struct = reader_of(spec).read_stored(found[-1].payload, found[-1].headers)
    return value


def letters(server: Server) -> Iterator[Letter]:
    """Every dead letter, in order."""
    for message in stored(server, DEADLETTERS, deadletter_subject("*", "*", "*")):
        at = address_of(message.subject)
        assert at is not None  # noqa: S101 - the pattern is one of ours
        told = {name: wire.legible(value) for name, value in message.headers.items()}
        yield Letter(
            handler=f"{at.service}.{at.handler}",
            key=unescape_key(at.key_token),
            error=told.get(header.ERROR, ""),
            message=told.get(header.MESSAGE, ""),
            attempts=int(told.get(header.ATTEMPTS, "0")),
        )


def retries(server: Server, handler: Handler) -> Iterator[Retry]:
    """What comes again to a handler: on its lane, or in place."""
    name = handler.title
    lane = lane_stream(handler.service)
    for message in stored(
        server, lane, lane_subject(handler.service, handler.name, f"*.*.{RETRY}")
    ):
        token = origin_of(message.headers).subject.removeprefix(f"{handler.input.subject}.")
        at = datetime.fromisoformat(scheduled_at(message.headers))
        yield Retry(name, unescape_key(token), message.headers.get(header.ERROR, ""), at)
    for stream in (handler.input.stream, lane):
        durable = server.durable(stream, handler.durable)
        for sequence, pending in durable.pending.items() if durable else ():
            kept = server.stream(stream).log.get(sequence)
            if kept is not None:
                token = kept.subject.rpartition(".")[2]
                yield Retry(name, unescape_key(token), "", time_at(pending.due))
