"""Move a process to another step by hand, as one more guarded step of its state (ADR-0033).

Its message keeps what the one before says of inputs, outputs and deadlines. It takes its place only
if nobody was quicker; services find it as they find what another replica stored.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from jetmesh import wire
from jetmesh.declare import escape_key
from jetmesh.errors import BrokerError, JetmeshError, UsageError
from jetmesh.operate.processes.flow import Flow
from jetmesh.operate.processes.standing import step_in
from jetmesh.protocol import headers as header
from jetmesh.protocol.steps import applied_of, applied_text
from jetmesh.protocol.versions import said
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.reader import reader_of
from jetmesh.transport.stored import PubAck, StoredMessage


async def found(control: ControlPlane, flow: Flow, key: str) -> StoredMessage | None:
    """The newest message of a key's process; None where nothing is known of it.

    Raises:
        BrokerError: the broker does not answer.
    """
    message = await control.last(flow.spec.stream, f"{flow.spec.subject}.{escape_key(key)}")
    return message if message is not None and step_in(flow, message) is not None else None


def check(flow: Flow, message: StoredMessage, step: str, *, anywhere: bool) -> None:
    """Refuse a move that no handler makes, unless it may lead anywhere.

    Raises:
        UsageError: it is no step, the process stands there, or nothing leads there from its step.
    """
    before = step_in(flow, message)
    if step not in flow.process.steps:
        raise UsageError(
            f"{flow.spec.title} has no step {step!r}.",
            remedy=f"The steps are {', '.join(flow.process.steps)}.",
        )
    if step == before:
        raise UsageError(f"It stands in {step!r} already.")
    allowed = [each for each in flow.next(before) if each is not None and each != before]
    if not anywhere and before in flow.process.steps and step not in allowed:
        raise UsageError(
            f"No handler moves {flow.spec.title} from {before!r} to {step!r}.",
            remedy=f"It goes to {', '.join(allowed) or 'no step'} from there; or say --anywhere.",
        )


async def advance(control: ControlPlane, flow: Flow, message: StoredMessage, step: str) -> PubAck:
    """Store the process in another step.

    Raises:
        JetmeshError: its state would be none that this code can read, or it moved meanwhile.
        BrokerError: the broker refuses, or does not answer.
    """
    headers = {name: value for name, value in message.headers.items() if _is_kept(name)}
    applied = applied_of(wire.legible(headers.get(header.APPLIED, "")))
    moved = msgspec.structs.replace(applied, since=time.time_ns())
    payload, version = _payload(flow, message, step)
    headers |= {
        header.APPLIED: applied_text(moved),
        header.EXPECTED_SEQUENCE: str(message.sequence),
        header.CAUSE: header.BY_HAND,
        **version,
    }
    try:
        return await control.publish(message.subject, payload, headers)
    except BrokerError as error:
        now = await control.last(message.stream, message.subject)
        if now is not None and now.sequence != message.sequence:
            raise JetmeshError(
                "It moved meanwhile, and nothing was changed.", remedy="Look at it again."
            ) from error
        raise


def _payload(flow: Flow, message: StoredMessage, step: str) -> tuple[bytes, dict[str, str]]:
    """The state in its new step, and what its headers say of the version."""
    reader, name = reader_of(flow.spec), flow.process.wire_field(flow.spec.type)
    try:
        state = reader.read_stored(message.payload, message.headers)
        raw: Any = msgspec.to_builtins(state, str_keys=True)
        version = said(flow.spec.version)
    except Exception:  # noqa: BLE001 - its step may be the very thing that cannot be read
        raw, version = msgspec.json.decode(message.payload), {}
    raw[name] = step
    payload = msgspec.json.encode(raw)
    try:
        reader.read_stored(payload, {**message.headers, **version})
    except Exception as error:
        raise JetmeshError(
            f"In the step {step!r} the state cannot be read: {type(error).__name__}.",
            remedy="Deploy code that reads it.",
        ) from error
    return payload, version


def _is_kept(name: str) -> bool:
    """Whether a header goes on: not what the server reads, nor that an input was its cause."""
    return not name.lower().startswith(header.SERVERS) and name != header.CAUSE
