"""One stored message as a step of a story."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from jetmesh.declare import StateSpec, Topology
from jetmesh.operate.deadletters.letter import Letter, LetterError
from jetmesh.operate.deadlines.told import came_later
from jetmesh.operate.heal import doubt
from jetmesh.operate.humanize import counted
from jetmesh.operate.summary import summary
from jetmesh.operate.trace.causeless import explained
from jetmesh.privacy.mask import masked
from jetmesh.protocol import headers as header
from jetmesh.protocol.content import UNDECODED
from jetmesh.protocol.ids import cause_of, is_number
from jetmesh.protocol.streams import DEADLETTERS, REFUSALS, is_stream
from jetmesh.protocol.subjects import address_of
from jetmesh.protocol.times import is_same_time
from jetmesh.protocol.traces import trace_id_in
from jetmesh.transport.stored import StoredMessage

Kind = Literal["event", "removal", "refusal", "dead letter"]


@dataclass(frozen=True, slots=True)
class Step:
    """One stored message of the story."""

    id: str
    """`ORDERS:5`."""
    kind: Kind
    subject: str
    """Without the key."""
    cause: str
    """The id of the message that led to it; empty when it came from outside.

    With its time of storing behind it when another message stands there now.
    """
    by: str
    """`service.handler`; the service or the command alone of a state's step without an input, and
    empty when it came from outside."""
    stored_ns: int
    """In nanoseconds since 1970: what names the message beside its sequence."""
    stored_at: datetime
    summary: str
    waits: tuple[str, ...] = ()
    """Who has not finished with it yet."""
    notes: tuple[str, ...] = ()
    """What is worth knowing, and nobody waits for."""
    trace: str = ""
    """The id of its OpenTelemetry trace; empty when it carries none."""

    @property
    def place(self) -> str:
        """Where its cause stands, or stood."""
        stream, colon, token = self.cause.rpartition(":")
        return stream + colon + token.partition("-")[0]

    def may_follow(self, stored_ns: int) -> bool:
        """Whether what was stored in the place of its cause at this time is its cause."""
        return is_same_time(int(self.cause.rpartition(":")[2].partition("-")[2] or 0), stored_ns)


def step_of(topology: Topology, message: StoredMessage) -> Step:
    spec = topology.event(message.subject)
    if message.removal:
        text = f"the server removed what was stored here ({message.removal})"
        return replace(
            _mark(message, "removal", spec.subject if spec else message.subject, "", text), by=""
        )
    if message.stream == REFUSALS:
        return _refusal(message)
    if message.stream == DEADLETTERS:
        return _dead_letter(message)
    (cause, by), text = _cause(topology, message.cause_id), ""
    if not by and isinstance(spec, StateSpec):
        cause, by, text = explained(topology, spec, message)
    why, notes = doubt(topology, message), (text,) if text else came_later(message)
    return Step(
        id=message.place,
        kind="event",
        subject=spec.subject if spec else message.subject,
        cause=cause,
        by=by,
        stored_ns=message.stored_ns,
        stored_at=message.stored_at,
        summary=summary(spec, message) if spec else "",
        notes=(f"forged: {why}; jetmesh heal {message.place} removes it",) if why else notes,
        trace=trace_id_in(message.headers),
    )


def _cause(topology: Topology, message_id: str) -> tuple[str, str]:
    """The message that led to it and the handler; empty if none of ours did."""
    cause = cause_of(message_id)
    if cause is None or all(cause.stream != each.name for each in topology.streams):
        return "", ""
    return f"{cause.stream}:{cause.token}", f"{cause.service}.{cause.handler}"


class _Stored(Struct):
    stream: str
    sequence: int
    subject: str


class _Refusal(Struct):
    """What `runtime.message.letters.refusal` wrote."""

    stream: str
    sequence: int
    refused: str
    stored: _Stored


def _refusal(message: StoredMessage) -> Step:
    try:
        mark = msgspec.json.decode(message.payload, type=_Refusal)
    except UNDECODED:  # somebody typed it
        text = "a mark that cannot be read"
        return _mark(message, "refusal", "second decision", "", text)
    first = f"{mark.stored.stream}:{mark.stored.sequence}"
    text = f"{mark.refused} was refused: {first} had decided ({mark.stored.subject})"
    cause = cause_of(message.message_id)
    token = cause.token if cause else mark.sequence
    return _mark(message, "refusal", "second decision", f"{mark.stream}:{token}", text)


def _dead_letter(message: StoredMessage) -> Step:
    letter = Letter(message)
    text = f"{letter.error}: {letter.text} ({counted(letter.attempts, 'attempt')})"
    return _mark(message, "dead letter", "dead letter", _cause_of_letter(letter), text)


def _cause_of_letter(letter: Letter) -> str:
    try:
        return f"{letter.origin.stream}:{letter.origin.token}"
    except LetterError:  # somebody typed it
        stream, sequence = letter.header(header.STREAM), letter.header(header.SEQUENCE)
        return f"{stream}:{sequence}" if is_stream(stream) and is_number(sequence) else ""


def _mark(message: StoredMessage, kind: Kind, subject: str, cause: str, text: str) -> Step:
    address = address_of(message.subject)
    return Step(
        id=message.place,
        kind=kind,
        subject=subject,
        cause=cause,
        by=f"{address.service}.{address.handler}" if address else "",
        stored_ns=message.stored_ns,
        stored_at=message.stored_at,
        summary=masked(text),
        trace=trace_id_in(message.headers),
    )
