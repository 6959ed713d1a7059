"""What operators are told of keys that wait in an ordered handler (ADR-0036)."""

from __future__ import annotations

from jetmesh.declare import Handler
from jetmesh.operate.deadletters.letter import Letter, LetterError
from jetmesh.operate.humanize import counted
from jetmesh.protocol import headers as header
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.parked import cursor
from jetmesh.transport.stored import if_exists


async def behind(control: ControlPlane, letter: Letter) -> str:
    """How many messages of its key wait behind a letter, in words; empty when none does.

    Raises:
        BrokerError: the broker does not answer.
    """
    count = await waits_for(control, letter)
    if not count:
        return ""
    verb = "waits" if count == 1 else "wait"
    return f"{counted(count, 'message')} of its key {verb} behind it"


async def waits_for(control: ControlPlane, letter: Letter) -> int:
    """How many messages wait until a letter is replayed or dropped."""
    if not letter.header(header.LINE):
        return 0
    try:
        origin = letter.origin
    except LetterError:  # somebody typed it
        return 0
    token = origin.subject.rpartition(".")[2]
    known = await cursor(control, letter.service, letter.handler, token)
    if known is None or known.away != (int(origin.sequence), origin.stored):
        return 0
    first = known.away.sequence + 1
    return await if_exists(control.count(origin.stream, [origin.subject], first=first)) or 0


async def place_in_line(
    control: ControlPlane, handler: Handler, token: str, sequence: int
) -> str | None:
    """What a message waits for in its key's line, in words; None when it is in none."""
    known = await cursor(control, handler.service, handler.name, token)
    if known is None or sequence <= known.done.sequence or not known.is_open:
        return None
    if known.away is not None and sequence > known.away.sequence:
        failed = f"{handler.input.stream}:{known.away.sequence}"
        return f"{handler.title} handles it behind {failed}, which failed"
    if known.away is None and sequence <= known.last:
        return f"{handler.title} handles it behind others of its key"
    return None
