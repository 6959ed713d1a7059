"""What operators do to deadlines: cancel one, and set alarms again that were lost."""

from __future__ import annotations

from jetmesh import wire
from jetmesh.errors import BrokerError, JetmeshError
from jetmesh.operate.deadlines.waiting import Found
from jetmesh.protocol import headers as header
from jetmesh.protocol.deadlines import (
    alarm,
    cancelled_subject,
    cancelling,
    pending_of,
    pending_text,
)
from jetmesh.protocol.subjects import lane_subject
from jetmesh.transport.control import ControlPlane


async def cancel(control: ControlPlane, found: Found) -> None:
    """End a deadline: exactly where a state keeps it, else if its alarm has not rung yet.

    Raises:
        JetmeshError: it changed meanwhile, or is no more, and nothing was done.
        BrokerError: the broker refuses, or does not answer.
    """
    if found.pending is not None:
        await _forget(control, found)
    elif await control.last(found.message.stream, found.message.subject) is None:
        raise _gone(found)
    await control.publish(cancelled_subject(found.waiting.service), b"", cancelling(found.alarm))


async def wake(control: ControlPlane, found: Found) -> None:
    """Ring for a deadline of a state now: where its time has come, its event is published.

    Raises:
        BrokerError: the broker refuses, or does not answer.
    """
    pending, waiting = found.pending, found.waiting
    if pending is None:
        return  # the alarm itself is what waits
    token = found.message.subject.rpartition(".")[2]
    noted = f"{found.message.subject}:{found.message.sequence}"
    target = lane_subject(waiting.service, waiting.handler, token)
    origin = pending.origin._replace(noted=noted)
    rings = alarm(found.deadline, target, origin, pending.due)
    await control.publish(target, b"", header.carried(pending.trace) | _without_schedule(rings))


async def _forget(control: ControlPlane, found: Found) -> None:
    """One more guarded step of the state, which keeps everything else (ADR-0033)."""
    message = await control.last(found.message.stream, found.message.subject)
    if message is None or message.sequence != found.message.sequence:
        raise _gone(found)
    left = tuple(
        each
        for each in pending_of(wire.legible(message.headers.get(header.DEADLINES, "")))
        if each.deadline != found.deadline
    )
    headers = {
        name: value
        for name, value in message.headers.items()
        if not name.lower().startswith(header.SERVERS) and name != header.DEADLINES
    }
    headers[header.EXPECTED_SEQUENCE] = str(message.sequence)
    if left:
        headers[header.DEADLINES] = pending_text(left)
    try:
        await control.publish(message.subject, message.payload, headers)
    except BrokerError as error:
        now = await control.last(message.stream, message.subject)
        if now is not None and now.sequence != message.sequence:
            raise _gone(found) from error
        raise


def _gone(found: Found) -> JetmeshError:
    return JetmeshError(
        f"{found.waiting.event} of {found.waiting.key!r} changed meanwhile; nothing was done.",
        remedy="jetmesh schedule show tells what waits now.",
    )


def _without_schedule(headers: dict[str, str]) -> dict[str, str]:
    return {name: v for name, v in headers.items() if not name.startswith(header.SCHEDULE)}
