"""What is written when a delivery does not end as its handler meant: dead letters and refusals."""

from __future__ import annotations

import hashlib
import json
import os
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from jetmesh import wire
from jetmesh.declare import EventSpec
from jetmesh.errors import ContractViolation
from jetmesh.run.delivered import Delivered
from jetmesh.run.mask import masked, masked_violation, text_of
from jetmesh.run.outputs import Message
from jetmesh.transport.control import StoredMessage

_OWN: Final = f"{Path(__file__).parents[1]}{os.sep}"
"""Where the mesh's own lines are, wherever it was installed."""


def dead_letter(delivered: Delivered, version: str, error: BaseException) -> Message:
    """The original bytes, with the story in headers; one per input, by its message id."""
    handler = delivered.consumer.handler
    stream, _, sequence = delivered.cause.partition(":")
    place = where(error)
    headers = {
        "Nats-Msg-Id": f"{handler.service}:{handler.name}:{stream}:{sequence}:deadletter",
        "Jetmesh-Subject": delivered.subject.decode(errors="replace"),
        "Jetmesh-Stream": stream,
        "Jetmesh-Sequence": sequence,
        "Jetmesh-Service": handler.service,
        "Jetmesh-Version": version,
        "Jetmesh-Handler": handler.name,
        "Jetmesh-Attempts": str(delivered.attempt),
        "Jetmesh-Error": type(error).__name__,
        "Jetmesh-Message": masked(text_of(error), delivered.event),
        "Jetmesh-Where": place,
        "Jetmesh-Fingerprint": fingerprint(handler.service, handler.name, error, place),
        "Jetmesh-Stored-At": delivered.stored_at.isoformat(),
        "Jetmesh-Failed-At": datetime.now(UTC).isoformat(),
    }
    subject = f"deadletters.{handler.service}.{handler.name}.{delivered.key_token}"
    return subject.encode(), wire.block(headers), delivered.payload


def without_payload(letter: Message) -> Message:
    """The same letter when its payload is too large: the original stays in its stream."""
    subject, headers, _ = letter
    note = b"Jetmesh-Payload: left in its stream\r\n\r\n"
    return subject, headers.removesuffix(b"\r\n") + note, b""


def refusal(delivered: Delivered, refused: str, stored: StoredMessage) -> Message:
    """A mark that the input wanted an outcome for a key that another cause had decided."""
    handler = delivered.consumer.handler
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
        violation = ContractViolation(f"{spec.subject}: {text}")
        return violation.with_traceback(error.__traceback__)
    return error


def where(error: BaseException) -> str:
    """The innermost line that is not the mesh's own, as `shop/payments.py:88 in charge`."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith(_OWN)] or frames
    if not own:
        return "unknown"
    path = Path(own[-1].filename)
    return f"{path.parent.name}/{path.name}:{own[-1].lineno} in {own[-1].name}"


def fingerprint(service: str, handler: str, error: BaseException, place: str) -> str:
    """Equal for letters of one fault, whatever the message that met it."""
    parts = f"{service}:{handler}:{type(error).__name__}:{place}"
    return hashlib.sha256(parts.encode()).hexdigest()[:12]
