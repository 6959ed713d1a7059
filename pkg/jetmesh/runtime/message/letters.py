"""What is written when a delivery does not end as meant: dead letters, retries, refusals."""

from __future__ import annotations

import json
import os
import traceback
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from jetmesh import wire
from jetmesh.declare import EventSpec, Handler
from jetmesh.errors import ContractViolation, JetmeshError, Verdict
from jetmesh.privacy.mask import masked_violation, name_of, printable, text_of
from jetmesh.protocol import headers as header
from jetmesh.protocol.acks import numbers_of
from jetmesh.protocol.content import remedy_for, seems
from jetmesh.protocol.ids import Cause, fingerprint
from jetmesh.protocol.lanes import Origin, schedule
from jetmesh.protocol.streams import lane_stream
from jetmesh.protocol.subjects import (
    NO_KEY,
    deadletter_subject,
    lane_subject,
    refusal_subject,
    retry_subject,
    waits_subject,
)
from jetmesh.protocol.versions import WHICHEVER, said
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.states.missteps import MISSTEPS
from jetmesh.transport.reader import field_at_fault, reader_of
from jetmesh.transport.seam import Message
from jetmesh.transport.stored import StoredMessage

_OWN: Final = f"{Path(__file__).parents[2]}{os.sep}"
"""Where the mesh's own lines are, wherever it was installed."""


def dead_letter(delivered: Delivered, error: BaseException, text: str) -> Message:
    """The original bytes, with the story in headers; one per input and replay, by its id.

    `text` is what the error says, masked.
    """
    handler, origin = delivered.durable.handler, delivered.origin
    name, place, deadline = name_of(error), where(error, handler), delivered.deadline
    headers = {
        **origin.headers(),
        header.MESSAGE_ID: delivered.identity.deadletter(
            origin.replays, deadline.effect if deadline else ""
        ),
        header.SERVICE: handler.service,
        header.VERSION: delivered.durable.version,
        header.HANDLER: handler.name,
        header.ATTEMPTS: str(delivered.attempt),
        header.ERROR: name,
        header.MESSAGE: text,
        header.WHERE: place,
        header.FINGERPRINT: fingerprint(handler.service, handler.name, name, place),
        header.FAILED_AT: delivered.durable.now().isoformat(),
    }
    subject = deadletter_subject(handler.service, handler.name, delivered.key_token)
    return subject.encode(), _block(delivered, headers), delivered.payload


def without_payload(letter: Message) -> Message:
    """The same letter when it is too large: payload and others' headers stay in their stream."""
    subject, headers, _ = letter
    values = wire.parse(headers, exact=True).values
    ours = {name: value for name, value in values.items() if name not in header.carried(values)}
    return subject, wire.block({**ours, header.PAYLOAD: header.LEFT}), b""


def retry_later(delivered: Delivered, error: BaseException, text: str, at: datetime) -> Message:
    """The original bytes for the handler's lane, delivered at a time.

    `text` is what `error` says, masked. The id names this delivery: sent twice it is one retry,
    and the next failure is another.
    """
    handler, origin = delivered.durable.handler, delivered.origin
    stream = lane_stream(handler.service) if delivered.on_lane else origin.stream
    number, sequence, *_ = numbers_of(delivered.reply)
    cause = Cause(handler.service, handler.name, stream, sequence.decode(), delivered.stored_ns)
    headers = {
        **origin.headers(),
        header.MESSAGE_ID: cause.retry(number.decode()),
        header.ERROR: name_of(error),
        header.MESSAGE: text,
        **schedule(lane_subject(handler.service, handler.name, delivered.key_token), at),
    }
    subject = retry_subject(handler.service, handler.name, origin)
    return subject.encode(), _block(delivered, headers), delivered.payload


def waiting(delivered: Delivered, line: str, at: datetime) -> Message:
    """For the lane: look at a time whether the key of a delivery goes on (ADR-0036).

    One for each key: none is stored where one is. `line` says how far the key was.
    """
    handler, token = delivered.durable.handler, delivered.origin.subject.rpartition(".")[2]
    headers = {
        **delivered.origin._replace(line=line).headers(),
        header.EXPECTED_SEQUENCE: "0",
        # beside what is of the key itself: that is what whoever looks then looks for
        **schedule(lane_subject(handler.service, handler.name, NO_KEY), at),
    }
    subject = waits_subject(handler.service, handler.name, token)
    return subject.encode(), wire.block(headers), b""


def let_go(handler: Handler, stored: StoredMessage) -> Message:
    """For the lane: what waited in its stream for a turn that nobody gives any more (ADR-0036)."""
    number, token = str(stored.sequence), stored.subject.rpartition(".")[2]
    origin = Origin(stored.subject, stored.stream, number, stored.stored_ns)
    cause = Cause(handler.service, handler.name, stored.stream, number, stored.stored_ns)
    open_ = said(WHICHEVER) if reader_of(handler.input).leaves_open(stored.headers) else {}
    headers = {
        **header.carried(stored.headers),
        **open_,
        **origin.headers(),
        header.MESSAGE_ID: cause.moved(origin.attempts, origin.replays),
    }
    subject = lane_subject(handler.service, handler.name, token)
    return subject.encode(), wire.block(headers), stored.payload


def other_letter(letter: Message, stored: StoredMessage) -> str:
    """Why what is stored is not our letter, in words; empty when it is."""
    ours = wire.parse(letter[1], exact=True).values
    origin = (header.SUBJECT, header.STREAM, header.SEQUENCE, header.STORED_AT)
    if any(ours[name] != stored.headers.get(name) for name in origin):
        return "it is a letter of another message"
    left = stored.headers.get(header.PAYLOAD) == header.LEFT
    return "" if left or stored.payload == letter[2] else "it has another payload"


def other_mark(mark: Message, stored: StoredMessage) -> str:
    """Why what is stored is not our mark, in words; empty when it is."""
    ours, found = (_input_of(each) for each in (mark[2], stored.payload))
    return "" if ours == found else "it marks another message"


def _input_of(mark: bytes) -> tuple[object, object] | None:
    try:
        body = msgspec.json.decode(mark, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return body.get("stream"), body.get("sequence")


def _block(delivered: Delivered, ours: dict[str, str]) -> bytes:
    """What others gave the message, exactly, and ours, of which no value may break its line."""
    values = wire.parse(delivered.headers, exact=True).values if delivered.headers else {}
    given = header.carried(values)
    if reader_of(delivered.durable.handler.input).leaves_open(values):
        given |= said(WHICHEVER)  # nothing else would tell it from what handlers made
    if delivered.deadline:
        given[header.DEADLINE] = delivered.deadline.text
    for name, value in ours.items():
        given[name] = printable(value) if "\n" in value or "\r" in value else value
    return wire.block(given)


def refusal(delivered: Delivered, refused: str, stored: StoredMessage) -> Message:
    """A mark that the input wanted an outcome for a key that another cause had decided."""
    handler, identity = delivered.durable.handler, delivered.identity
    body: dict[str, Any] = {
        "stream": identity.stream,
        "sequence": int(identity.sequence),
        "subject": delivered.subject.decode(errors="replace"),
        "refused": refused,
        "stored": {
            "stream": stored.stream,
            "sequence": stored.sequence,
            "subject": stored.subject,
            "message_id": stored.message_id,
        },
        "at": delivered.durable.now().isoformat(),
    }
    headers = {header.MESSAGE_ID: identity.refusal()}
    subject = refusal_subject(handler.service, handler.name, delivered.key_token)
    return subject.encode(), wire.block(headers), json.dumps(body).encode()


def unreadable(spec: EventSpec, payload: bytes, error: BaseException) -> BaseException:
    """What could not be decoded does not keep its contract; any other error stays what it is.

    `payload` is what was read, without what stood around it.
    """
    if isinstance(error, msgspec.DecodeError | UnicodeError | RecursionError):
        if content := seems(payload):
            told = f"{spec.subject}: the payload seems to be {content}; {remedy_for(content)}"
            return ContractViolation(told, content=content).with_traceback(error.__traceback__)
        text = masked_violation(text_of(error), payload, spec.type) or type(error).__name__
        path = field_at_fault(text_of(error))
        violation = ContractViolation(f"{spec.subject}: {text}", path=path)
        return violation.with_traceback(error.__traceback__)
    return error


def where(error: BaseException, handler: Handler) -> str:
    """The innermost line that is not the mesh's own, as `shop/payments.py:88 in charge`.

    The field at fault for a broken contract, or what its payload seems to be. Where the handler is
    declared, for a process with its step, where nobody raised the error, or the mesh itself, or it
    does not show its traceback.
    """
    try:
        found = _where(error)
    except BaseException:  # noqa: BLE001 - a class may answer for its traceback, and raise
        found = ""
    if found:
        return found
    declared = Path(handler.where)
    place = f"{declared.parent.name}/{declared.name} in {handler.name}"
    return f"{place}, {error.place}" if isinstance(error, MISSTEPS) else place


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith(_OWN)]
    if isinstance(error, MISSTEPS):
        return ""
    if isinstance(error, ContractViolation) and not theirs:
        what = f"a payload that seems to be {error.content}"
        return what if error.content else f"field {error.path}"
    if not frames or (not theirs and isinstance(error, JetmeshError | Verdict)):
        return ""  # the mesh says it of the handler: where it does is no place to look at
    last = (theirs or frames)[-1]
    path = Path(last.filename)
    return printable(f"{path.parent.name}/{path.name}:{last.lineno} in {last.name}")
