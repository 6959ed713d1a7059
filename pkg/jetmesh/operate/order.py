"""What operators are told of keys that wait in an ordered handler (ADR-0036)."""

from __future__ import annotations

from jetmesh.declare import Handler
from jetmesh.operate.deadletters.letter import Letter, LetterError
from jetmesh.operate.humanize import counted
from jetmesh.protocol import headers as header
from jetmesh.protocol.cursors import Cursor, Place
from jetmesh.protocol.lanes import Origin
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
    known, origin = await _line_of(control, letter)
    if known is None or origin is None:
        return 0
    if known.away is None or known.away != (int(origin.sequence), origin.stored):
        return 0
    first = known.away.sequence + 1
    return await if_exists(control.count(origin.stream, [origin.subject], first=first)) or 0


async def is_done(control: ControlPlane, letter: Letter) -> bool:
    """Whether the key of a letter went on without it, so that nothing would run if it came again.

    Raises:
        BrokerError: the broker does not answer.
    """
    known, origin = await _line_of(control, letter)
    if known is None or origin is None:
        return False
    place = Place(int(origin.sequence), origin.stored)
    return known.has(place) and not known.is_free(place)


async def _line_of(control: ControlPlane, letter: Letter) -> tuple[Cursor | None, Origin | None]:
    """How far a letter's key is, and where its message stands; None where it is in no line."""
    if not letter.header(header.LINE):
        return None, None
    try:
        origin = letter.origin
    except LetterError:  # somebody typed it
        return None, None
    token = origin.subject.rpartition(".")[2]
    return await cursor(control, letter.service, letter.handler, token), origin


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
