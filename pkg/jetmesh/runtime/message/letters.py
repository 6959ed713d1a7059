"""What is written when a delivery does not end as meant: dead letters, retries, refusals."""

from __future__ import annotations

import hashlib
import json
import os
import re
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from jetmesh import wire
from jetmesh.declare import EventSpec
from jetmesh.errors import ContractViolation
from jetmesh.privacy.mask import masked_violation, text_of
from jetmesh.protocol.lanes import (
    ATTEMPTS,
    ERROR,
    MESSAGE,
    carried,
    lane_subject,
    later_subject,
    schedule,
)
from jetmesh.protocol.streams import LANES
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.outputs import Message
from jetmesh.transport.control import StoredMessage

_OWN: Final = f"{Path(__file__).parents[2]}{os.sep}"
"""Where the mesh's own lines are, wherever it was installed."""
_path = re.compile(r" - at `(\$[^`]*)`$")
"""Where msgspec says that a value is wrong."""
_missing = re.compile(r"missing required field `(\w+)`")
LEFT: Final = ("Jetmesh-Payload", "left in its stream")
"""The header of a letter that was too large to carry the original bytes."""


def dead_letter(delivered: Delivered, error: BaseException, text: str) -> Message:
    """The original bytes, with the story in headers; one per input and replay, by its id.

    `text` is what the error says, masked.
    """
    handler, origin = delivered.durable.handler, delivered.origin
    identity = f"{handler.service}:{handler.name}:{origin.stream}:{origin.sequence}:deadletter"
    declared = Path(handler.where)
    place = where(error) or f"{declared.parent.name}/{declared.name}"
    headers = {
        **_given(delivered),
        **origin.headers(),
        "Nats-Msg-Id": f"{identity}:{origin.replays}" if origin.replays else identity,
        "Jetmesh-Service": handler.service,
        "Jetmesh-Version": delivered.durable.version,
        "Jetmesh-Handler": handler.name,
        ATTEMPTS: str(delivered.attempt),
        ERROR: type(error).__name__,
        MESSAGE: text,
        "Jetmesh-Where": place,
        "Jetmesh-Fingerprint": fingerprint(handler.service, handler.name, error, place),
        "Jetmesh-Failed-At": datetime.now(UTC).isoformat(),
    }
    subject = f"deadletters.{handler.service}.{handler.name}.{delivered.key_token}"
    return subject.encode(), wire.block(headers), delivered.payload


def without_payload(letter: Message) -> Message:
    """The same letter when it is too large: payload and others' headers stay in their stream."""
    subject, headers, _ = letter
    told = wire.parse(headers).values
    ours = {name: value for name, value in told.items() if name not in carried(told)}
    return subject, wire.block({**ours, LEFT[0]: LEFT[1]}), b""


def retry_later(delivered: Delivered, error: BaseException, text: str, at: datetime) -> Message:
    """The original bytes for the handler's lane, delivered at a time.

    Its id names this delivery: sent twice it is one retry, and the next failure is another.
    """
    handler, origin = delivered.durable.handler, delivered.origin
    source = LANES if delivered.on_lane else origin.stream
    number, sequence = delivered.meta[0].decode(), delivered.meta[1].decode()
    headers = {
        **_given(delivered),
        **origin.headers(),
        "Nats-Msg-Id": f"{handler.service}:{handler.name}:{source}:{sequence}:retry:{number}",
        ERROR: type(error).__name__,
        MESSAGE: text,
        **schedule(lane_subject(handler.service, handler.name, delivered.key_token), at),
    }
    subject = later_subject(handler.service, handler.name, origin)
    return subject.encode(), wire.block(headers), delivered.payload


def _given(delivered: Delivered) -> dict[str, str]:
    return carried(wire.parse(delivered.headers).values) if delivered.headers else {}


def refusal(delivered: Delivered, refused: str, stored: StoredMessage) -> Message:
    """A mark that the input wanted an outcome for a key that another cause had decided."""
    handler = delivered.durable.handler
    stream, _, sequence = delivered.cause.partition(":")
    body: dict[str, Any] = {
        "stream": stream,
        "sequence": int(sequence),
        "subject": delivered.subject.decode(errors="replace"),
        "refused": refused,
        "stored": {
            "stream": stored.stream,
            "sequence": stored.sequence,
            "subject": stored.subject,
            "message_id": stored.message_id,
        },
        "at": datetime.now(UTC).isoformat(),
    }
    headers = {"Nats-Msg-Id": f"{handler.service}:{handler.name}:{stream}:{sequence}:refusal"}
    subject = f"refusals.{handler.service}.{handler.name}.{delivered.key_token}"
    return subject.encode(), wire.block(headers), json.dumps(body).encode()


def unreadable(spec: EventSpec, payload: bytes, error: BaseException) -> BaseException:
    """What could not be decoded does not keep its contract; any other error stays what it is."""
    if isinstance(error, msgspec.DecodeError | UnicodeError | RecursionError):
        text = masked_violation(text_of(error), payload, spec.type) or type(error).__name__
        violation = ContractViolation(f"{spec.subject}: {text}", path=_field(text_of(error)))
        return violation.with_traceback(error.__traceback__)
    return error


def _field(text: str) -> str:
    """The field of which msgspec complains: what is missing, below what it is missing in."""
    at, missing = _path.search(text), _missing.search(text)
    return (at[1] if at else "$") + (f".{missing[1]}" if missing else "")


def where(error: BaseException) -> str:
    """The innermost line that is not the mesh's own, as `shop/payments.py:88 in charge`.

    The field at fault for a broken contract, whoever read it. Empty for an error that nobody
    raised.
    """
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith(_OWN)]
    if isinstance(error, ContractViolation) and not theirs:
        return f"field {error.path}"
    if not frames:
        return ""
    last = (theirs or frames)[-1]
    path = Path(last.filename)
    return f"{path.parent.name}/{path.name}:{last.lineno} in {last.name}"


def fingerprint(service: str, handler: str, error: BaseException, place: str) -> str:
    """Equal for letters of one fault, whatever the message that met it."""
    parts = f"{service}:{handler}:{type(error).__name__}:{place}"
    return hashlib.sha256(parts.encode()).hexdigest()[:12]
