"""One step of a key while it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jetmesh.errors import Reject
from jetmesh.protocol.steps import Applied, Following
from jetmesh.runtime.message.states.known import Given, Known, Line
from jetmesh.runtime.message.states.ringing import Kept, unset


@dataclass(slots=True)
class Step:
    """What is to be stored of a key, and what is to be done once it is."""

    line: Line
    before: Known
    value: Any
    payload: bytes
    applied: Applied
    kept: Kept
    following: list[Following] = field(default_factory=list)
    cause: str = ""
    size: int = 0
    """Bytes of its message."""
    doubtful: bool = False
    """What was read may be old, and a deadline is not in it: only the server can tell, which takes
    the step or refuses it."""
    taken: list[Given] = field(default_factory=list)
    """All that it is about, to be tried again if it is not stored."""
    handled: list[Given] = field(default_factory=list)
    noted: list[Given] = field(default_factory=list)
    failed: list[tuple[Given, BaseException]] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        before = self.before
        if self.doubtful or self.applied is not before.applied:
            return True
        return self.kept.pending is not before.pending

    @property
    def is_sure(self) -> bool:
        """Whether it says nothing that depends on what is stored of the key, if that is nothing."""
        return self.changes and not (self.failed or self.noted or self.doubtful)

    def ring(self, given: Given, *, is_declared: bool) -> None:
        """An alarm woke: its deadline is in the state, or is no more.

        Where nobody declares any more that its event comes later, it is kept, and a letter says so.
        """
        deadline = given.delivered.deadline
        if deadline is not None and not is_declared and self.kept.has(deadline):
            told = (
                f"a deadline of {deadline.event} is over, and no handler that remembers its state"
            )
            self.failed.append((given, Reject(f"{told} names a Later of it any more")))
            return
        if event := self.kept.ring(given.delivered):
            self.following.append(event)
            self.cause = event.id
        elif not given.delivered.noted:
            self.doubtful = True
        self.handled.append(given)

    def stored_at(self, sequence: int) -> Known:
        """What is known of the key once the server took it."""
        return Known(
            sequence,
            self.payload,
            self.value,
            self.before.unreadable,
            self.applied,
            tuple(self.following),
            size=self.size,
            pending=self.kept.pending,
            unset=unset(self.kept.pending, self.before.pending),
        )

    def conclude(self) -> None:
        """It and all that follows are stored, or there was nothing to store."""
        for given in self.handled:
            given.runner.handled(given.delivered)
        for given in self.noted:
            if given.then is not None:
                given.then()
        for given, error in self.failed:
            given.runner.failed(given.delivered, error)
