"""What follows from a step: each output stored exactly once, however long ago the step was.

The message id makes that so within the duplicate window. Beyond it a guard does: an output is
refused when another one was stored on its subject since the last that is known, and then it is
looked which one that was (ADR-0033).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from jetmesh import wire
from jetmesh.protocol import headers as header
from jetmesh.protocol.ids import is_same_id
from jetmesh.protocol.steps import Following
from jetmesh.protocol.versions import said
from jetmesh.runtime.message.asking import Asking
from jetmesh.runtime.message.belief import Belief, Doubt, Forged, Impossible, Place
from jetmesh.transport.seam import Looks, Message, Transport
from jetmesh.transport.stored import read

_PAUSE_SECONDS: Final = 0.05
"""Between two looks: the server that answers may be behind the one that refused."""
_HELD_SECONDS: Final = 2.0
_UNKNOWN: Final = "it may be there already, and no handler here returns such an event any more"


class Outlet:
    """Stores what follows from the steps of one state."""

    def __init__(
        self,
        transport: Transport,
        looks: Looks,
        belief: Belief,
        asking: Asking,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.publish = transport.publish
        self.looks = looks
        self.belief = belief
        self.asking = asking
        self.spawn = spawn
        self.doubts: dict[str, tuple[str, Doubt]] = {}
        """By the subject of an event: its stream, and why a message of it cannot be ours."""
        self.held: dict[str, str] = {}
        """By subject: why an output cannot be stored, in words."""

    def knows(self, event: str) -> bool:
        """Whether one may follow whose subject is this, without the key."""
        return event in self.doubts

    def of(self, subject: str) -> tuple[str, Doubt]:
        """Where a subject is stored, and how its messages are judged."""
        return self.doubts[subject.rpartition(".")[0]]

    def store(
        self, outputs: tuple[Following, ...], last: dict[str, int], done: Callable[[], None]
    ) -> None:
        """Store outputs, those of one subject one after another; `last` is kept up to date."""
        if not outputs:
            done()
            return
        waiting: dict[str, deque[Following]] = {}
        for each in outputs:
            waiting.setdefault(each.subject, deque()).append(each)
        open_subjects = set(waiting)

        def subject_done(subject: str) -> None:
            open_subjects.discard(subject)
            if not open_subjects:
                done()

        for subject, several in waiting.items():
            _Subject(self, subject, several, last, subject_done).next()


class _Subject:
    """The outputs of one step on one subject (`seam.Waiter` of each)."""

    def __init__(
        self,
        outlet: Outlet,
        subject: str,
        outputs: deque[Following],
        last: dict[str, int],
        done: Callable[[str], None],
    ) -> None:
        self._outlet = outlet
        self._subject = subject
        self._outputs = outputs
        self._last = last
        self._done = done

    def next(self) -> None:
        """Publish the first one that is left."""
        if not self._outputs:
            self._done(self._subject)
            return
        self._outlet.publish(*self._message(), self)

    def _message(self) -> Message:
        output = self._outputs[0]
        headers = {
            **said(output.version),
            header.MESSAGE_ID: output.id,
            header.EXPECTED_SEQUENCE: str(self._last.get(self._subject, 0)),
        }
        return self._subject.encode(), wire.block(headers), bytes(output.payload)

    def _stored(self, sequence: int) -> None:
        self._outlet.held.pop(self._subject, None)
        self._last[self._subject] = sequence
        self._outputs.popleft()
        self.next()

    # seam.Waiter

    def on_stored(self, answer: bytes) -> None:
        self._stored(read(answer).seq)

    def on_duplicate(self, message: Message, sequence: int) -> None:
        self._find_out(partial(self._confirm, message, sequence))

    def on_decided(self) -> None:
        self._find_out(self._look)

    def on_impossible(self, reason: str) -> None:
        self._outlet.spawn(self._wait(reason))

    # how

    def _find_out(self, ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Whether it is stored already: of an event that this code knows that can be told."""
        known = self._outlet.knows(self._subject.rpartition(".")[0])
        self._outlet.spawn(ask() if known else self._wait(_UNKNOWN))

    async def _confirm(self, message: Message, sequence: int) -> None:
        """Its id was there before: within the window, or somebody took it."""
        stream, doubt = self._outlet.of(self._subject)
        about = stream, message, sequence, doubt, self._subject
        match await self._outlet.belief.confirm(*about):
            case Place(stands_at):
                self._stored(stands_at)
            case Forged() as forged:
                await self._wait(f"{forged.place} stands in its place and is forged: {forged.why}")
            case Impossible(reason):
                await self._wait(reason)
            case _:
                await self._look()

    async def _look(self) -> None:
        """Another message is the last one of the subject: this very output, or one before it."""
        stream, _ = self._outlet.of(self._subject)
        output, last = self._outputs[0], self._last.get(self._subject, 0)
        while True:
            ask = partial(self._outlet.looks.since, stream, self._subject, last + 1)
            found = await self._outlet.asking.until_answered(ask, self._subject)
            if found is None:
                break
            last = found.sequence
            if is_same_id(found.message_id, output.id):
                self._stored(last)
                return
        if last == self._last.get(self._subject, 0):
            await asyncio.sleep(_PAUSE_SECONDS)
            last = min(last, await self._newest(stream))
        self._last[self._subject] = last
        self.next()

    async def _newest(self, stream: str) -> int:
        """The last one that is there: retention may have taken the one that was known."""
        ask = partial(self._outlet.looks.last, stream, self._subject)
        found = await self._outlet.asking.until_answered(ask, self._subject)
        return found.sequence if found else 0

    async def _wait(self, reason: str) -> None:
        """It cannot be stored, and its state is: the key waits until it can."""
        self._outlet.held[self._subject] = f"the output {self._subject} cannot be stored: {reason}"
        await asyncio.sleep(_HELD_SECONDS)
        self.next()
