"""Open dead letters: which would fail again, and which could be replayed until now."""

from __future__ import annotations

from jetmesh import wire
from jetmesh.declare import Handler
from jetmesh.errors import ContractViolation
from jetmesh.operate.candeploy.tally import Knew, Meeting, Tally
from jetmesh.protocol import headers as header
from jetmesh.protocol.streams import DEADLETTERS


class LetterTally:
    """Counts the open letters of one handler."""

    def __init__(self, handler: Handler, knew: Knew | None) -> None:
        self.handler = f"{handler.service}.{handler.name}"
        self.left = 0
        """Too large to carry their payload: what is in their stream is not looked at."""
        # whoever broke the contract then may do so still: that keeps nothing from being deployed
        self.broken = Tally(handler.input, DEADLETTERS, [self._meeting()], knew)
        self.others = Tally(handler.input, DEADLETTERS, [self._meeting()], knew)

    def _meeting(self) -> Meeting:
        return Meeting(self.handler, 1, is_handler=True)

    def take(self, sequence: int, headers: bytes, payload: bytes) -> None:
        """Decode what a letter carries."""
        values = wire.parse(headers).values
        if values.get(header.PAYLOAD) == header.LEFT:
            self.left += 1
            return
        was_broken = values.get(header.ERROR) == ContractViolation.__name__
        (self.broken if was_broken else self.others).take(sequence, headers, payload)

    @property
    def open(self) -> int:
        """All of them."""
        return self.left + self.broken.stored + self.others.stored

    @property
    def would_fail(self) -> int:
        """Letters that cannot be replayed with the new code."""
        return sum(each.stored - each.decode for each in (self.broken, self.others))
