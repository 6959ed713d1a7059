"""Open dead letters: which would fail again, and which could be replayed until now."""

from __future__ import annotations

from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import EventSpec, Handler
from jetmesh.errors import ContractViolation
from jetmesh.operate.candeploy.tally import Failure, Meeting, Tally
from jetmesh.operate.evolution.released import Released
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

    def __init__(self, handler: Handler, released: Released) -> None:
        def tally(spec: EventSpec) -> Tally:
            meeting = Meeting(handler.title, 1, is_handler=True)
            return Tally(spec, DEADLETTERS, [meeting], released.of_event(spec.subject))

        self._handler = handler
        self._left = 0
        self._rings = 0
        """Alarms that are not looked at: what a state keeps, or what was broken then."""
        # whoever broke the contract then may do so still: that keeps nothing from being deployed
        self._broken = tally(handler.input)
        self._others = {each.subject: tally(each) for each in handler.deadlines.later}
        """By the event that is to be read: the handler's, and those that it has come later."""
        self._others[handler.input.subject] = tally(handler.input)

    def take(self, sequence: int, headers: bytes, payload: bytes) -> None:
        """Decode what a letter carries."""
        values = wire.parse(headers).values
        if values.get(header.PAYLOAD) == header.LEFT:
            self._left += 1
            return
        was_broken = values.get(header.ERROR) == ContractViolation.__name__
        if header.DEADLINE in values:
            event = values[header.DEADLINE].partition(" ")[0]
            if was_broken or header.NOTED in values or event not in self._others:
                self._rings += 1
            else:
                self._others[event].take(sequence, headers, payload)
            return
        tally = self._broken if was_broken else self._others[self._handler.input.subject]
        tally.take(sequence, headers, payload)

    def result(self) -> OpenLetters:
        """What was counted."""
        others = [each.result() for each in self._others.values()]
        found = [*others, self._broken.result()]
        failures = [failure for each in found for failure in each.failures]
        return OpenLetters(
            handler=self._handler.title,
            subject=self._handler.input.subject,
            open=self._left + self._rings + sum(each.stored for each in found),
            fail=sum(each.stored - each.decode for each in found),
            lost=sum(each.unreadable for each in others),
            left=self._left,
            failures=sorted(failures, key=lambda each: -each.count),
        )
