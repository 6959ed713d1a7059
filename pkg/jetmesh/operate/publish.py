"""Publishing events by hand: checked against the contract first, stored on their keyed subject."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from jetmesh.declare import EventSpec, Topology, escape_key, key_of
from jetmesh.errors import BrokerError, ContractViolation, UsageError
from jetmesh.privacy.mask import masked_violation
from jetmesh.protocol.content import LINES, UNDECODED, as_utf8, remedy_for, seems
from jetmesh.protocol.versions import said
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.publishes import too_large
from jetmesh.transport.stored import PubAck

_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class Checked:
    """One event that keeps its contract."""

    subject: str
    payload: bytes
    """As it was given, in UTF-8: publishing changes nothing else."""
    headers: dict[str, str]
    """They say the version, where there are several."""


def spec_for(topology: Topology, subject: str) -> EventSpec:
    """The event that is published on `subject`.

    Raises:
        UsageError: there is none.
    """
    known = {spec.subject: spec for spec in topology.events}
    if subject in known:
        return known[subject]
    raise UsageError(
        f"No event is published on {subject!r}.",
        remedy=f"The subjects of this system: {', '.join(known)}.",
    )


def split(text: bytes) -> list[bytes]:
    """One JSON object, however it is laid out, or one per line, in any Unicode.

    What seems to be something else is left whole, so that it is called by its name once.
    """
    text = as_utf8(text).strip()
    try:
        msgspec.json.decode(text)
    except UNDECODED:
        if seems(text) in ("", LINES):
            return [line for line in text.splitlines() if line.strip()]
    return [text] if text else []


def check(spec: EventSpec, payloads: Sequence[bytes]) -> list[Checked]:
    """Every payload as it will be published; nothing is to be sent when one is wrong.

    Raises:
        ContractViolation: one does not keep the contract; it says which line and field.
    """
    if not payloads:
        raise ContractViolation("It is empty: it holds no event.")
    several = len(payloads) > 1
    return [
        _check(spec, payload, f"Line {number}" if several else "The event")
        for number, payload in enumerate(payloads, 1)
    ]


async def publish(control: ControlPlane, events: Sequence[Checked]) -> AsyncIterator[PubAck]:
    """Store the events in their order, several on their way at once.

    Raises:
        BrokerError: one is larger than the server takes, and nothing was sent; or one was refused
            or not confirmed; it says how many are stored for certain.
    """
    _check_sizes(events, control.max_payload)
    for start in range(0, len(events), _AT_ONCE):
        several = events[start : start + _AT_ONCE]
        acks = await asyncio.gather(
            *(control.publish(each.subject, each.payload, each.headers) for each in several),
            return_exceptions=True,
        )
        for number, ack in enumerate(acks, start):
            if isinstance(ack, BaseException):
                if isinstance(ack, BrokerError) and len(events) > 1:
                    ack.remedy = f"{number} of {len(events)} are stored. {ack.remedy}".strip()
                raise ack
            yield ack


def _check_sizes(events: Sequence[Checked], limit: int | None) -> None:
    for number, each in enumerate(events, 1):
        size = len(each.payload)
        if limit is not None and size > limit:
            what = f"Line {number}" if len(events) > 1 else "The event"
            raise BrokerError(
                f"{what} is too large: {too_large(size, limit)}.",
                remedy="Raise max_payload of the server or of our account. Nothing was sent.",
            )


def _check(spec: EventSpec, payload: bytes, what: str) -> Checked:
    try:
        event = msgspec.json.decode(payload, type=spec.type)
    except UNDECODED as error:
        if content := seems(payload):
            raise ContractViolation(
                f"{what} breaks the contract of {spec.subject} at $: it seems to be {content}; "
                f"{remedy_for(content)}.",
                content=content,
            ) from None
        text = masked_violation(str(error), payload, spec.type)
        text, _, path = (text or type(error).__name__).rstrip(".").partition(" - at ")
        where = path.strip("`") or "$"
        raise ContractViolation(
            f"{what} breaks the contract of {spec.subject} at {where}: {text}.",
            path=where,
        ) from None
    try:
        token = f".{escape_key(key_of(spec, event))}" if spec.key else ""
    except ContractViolation as error:
        where = f"$.{spec.key_name}"
        raise ContractViolation(f"{what}: {error.message} at {where}.", path=where) from None
    return Checked(spec.subject + token, payload, said(spec.version))
