"""Open dead letters: which would fail again, and which could be replayed until now."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import Handler
from jetmesh.errors import ContractViolation
from jetmesh.operate.candeploy.tally import Failure, Meeting, Tally
from jetmesh.operate.evolution.released import Release
from jetmesh.protocol import headers as header
from jetmesh.protocol.streams import DEADLETTERS


class OpenLetters(Struct):
    """The open dead letters of one handler."""

    handler: str
    subject: str
    open: int
    fail: int
    """They could not be replayed with the new code."""
    lost: int
    """Of these: letters of another fault, which could be replayed until now."""
    left: int
    """Too large to carry their payload, which is in its stream: not looked at."""
    failures: list[Failure]


class LetterTally:
    """Counts the open letters of one handler."""

    def __init__(self, handler: Handler, releases: Sequence[Release]) -> None:
        def tally() -> Tally:
            meeting = Meeting(handler.title, 1, is_handler=True)
            return Tally(handler.input, DEADLETTERS, [meeting], releases)

        self._handler = handler
        self._left = 0
        # whoever broke the contract then may do so still: that keeps nothing from being deployed
        self._broken, self._others = tally(), tally()

    def take(self, sequence: int, headers: bytes, payload: bytes) -> None:
        """Decode what a letter carries."""
        values = wire.parse(headers).values
        if values.get(header.PAYLOAD) == header.LEFT:
            self._left += 1
            return
        was_broken = values.get(header.ERROR) == ContractViolation.__name__
        (self._broken if was_broken else self._others).take(sequence, headers, payload)

    def result(self) -> OpenLetters:
        """What was counted."""
        others, broken = self._others.result(), self._broken.result()
        return OpenLetters(
            handler=self._handler.title,
            subject=others.subject,
            open=self._left + others.stored + broken.stored,
            fail=sum(each.stored - each.decode for each in (others, broken)),
            lost=others.unreadable,
            left=self._left,
            failures=sorted([*others.failures, *broken.failures], key=lambda each: -each.count),
        )
