"""The steps of one state: what waits for a key is taken in together, as one guarded message.

Nobody else's step is ever overwritten: the server stores one only where the last message of its key
is the one that was read. Whoever loses that race reads again and runs again, which counts as no
failure. Only once a step is stored follow its outputs, and then the acks (ADR-0033).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

import msgspec
import structlog

from jetmesh import wire
from jetmesh.declare import EventSpec, StateSpec
from jetmesh.errors import ContractViolation, Reject, Retry
from jetmesh.privacy.mask import text_of
from jetmesh.protocol import headers as header
from jetmesh.protocol.deadlines import pending_text
from jetmesh.protocol.steps import FULL, Applied, Full, applied_text, following_text
from jetmesh.protocol.versions import said
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.outputs import Outputs
from jetmesh.runtime.message.states import contention
from jetmesh.runtime.message.states.following import Outlet
from jetmesh.runtime.message.states.known import (
    KEPT,
    Given,
    Known,
    Line,
    Memory,
    Rememberer,
    known_of,
)
from jetmesh.runtime.message.states.novelty import GUESSED, Novelty
from jetmesh.runtime.message.states.ringing import Alarms, Kept, silent
from jetmesh.runtime.message.states.room import Room
from jetmesh.runtime.message.states.step import Step
from jetmesh.transport.reader import NewerVersion, reader_of
from jetmesh.transport.seam import Message, Transport
from jetmesh.transport.stored import read

_TOGETHER: Final = 64
"""So many inputs of a key are taken in by one step at most."""
_REFUSED_SECONDS: Final = 2.0
_BEHIND_SECONDS: Final = 0.1
_LOOKS: Final = 20
"""After so many looks the state's stream is another one than that which noted an input."""
_INTERRUPTED: Final = "it was noted as one that comes again, and its way there was cut short"

log = structlog.get_logger()


class Steps:
    """Takes the inputs of one state, key by key."""

    def __init__(
        self,
        spec: StateSpec,
        transport: Transport,
        outlet: Outlet,
        stop: Callable[[], None],
    ) -> None:
        self.spec = spec
        self.stop = stop
        """Ask the broker no more: every delivery was settled or given back."""
        self.kept_for = 0.0
        """Seconds for which a state is kept without a step, with its deadlines; 0: for ever."""
        self._publish = transport.publish
        self._outlet = outlet
        self.alarms = Alarms(transport, outlet.held, outlet.spawn)
        self._spawn = outlet.spawn
        self._memory = Memory()
        self._room = Room(spec.title)
        self._novelty = Novelty()
        self._reader = reader_of(spec)
        self._encode = msgspec.json.Encoder().encode
        self._prefix = f"{spec.subject}."

    @property
    def problem(self) -> str:
        """Why a key does not go on, in words; empty when all do."""
        held = next(iter(self._outlet.held.values()), "")
        return self._outlet.asking.problem or held or self._room.problem

    def follow(self, specs: Iterable[EventSpec], *outputs: Outputs) -> None:
        """Know the events that may follow from its steps, at once or later."""
        for spec in specs:
            output = next(each.by_type[spec.type] for each in outputs if spec.type in each.by_type)
            self._outlet.doubts[spec.subject] = spec.stream, output.doubt

    def take(self, runner: Rememberer, delivered: Delivered, token: str) -> None:
        """Handle a delivery when its key's turn comes."""
        line = self._memory.line(token)
        line.given.append(Given(runner, delivered, runner.given(delivered)))
        if not line.busy:
            self._next(line)

    def note(
        self, runner: Rememberer, delivered: Delivered, token: str, then: Callable[[], None]
    ) -> None:
        """Have the key know that a delivery comes again, and do `then`."""
        line = self._memory.line(token)
        line.given.insert(0, Given(runner, delivered, runner.given(delivered), then))
        if not line.busy:
            self._next(line)

    def floor_is_known(self) -> None:
        """A floor was looked at, and may be higher: what had no room tries again."""
        for line in self._room.again():
            if not line.busy:
                self._next(line)

    # a step

    def _next(self, line: Line, *, has_looked: bool = False) -> None:
        """Begin the next step of a key, until one is on its way or nothing waits."""
        line.busy = True
        while line.given:
            known = line.known or self._novelty.guess(line)
            if known is None or (line.pause and not has_looked):
                self._spawn(self._read(line))
                return
            if known.following or known.unset:
                self._follow(line, known, ())
                return
            step = self._fold(line, known)
            if step is None:
                return
            if known is GUESSED and not step.is_sure:
                self._put_back(step)  # it says nothing, unless the guess was right
                self._spawn(self._read(line))
                return
            if step.changes:
                self._store(step)
                return
            step.conclude()
        line.busy = False
        self._memory.rest(line)

    def _fold(self, line: Line, known: Known) -> Step | None:
        """What becomes of the key when all that waits is taken in; None: it has to be read."""
        kept = Kept(known.pending)
        step = Step(line, known, known.value, known.payload, known.applied, kept)
        most = 1 if line.alone else _TOGETHER
        line.alone = False
        while line.given and len(step.taken) < most:
            given = line.given.pop(0)
            if not given.delivered.held:
                continue
            if self._room.keeps(given, line):
                continue
            if self._is_behind(line, given.delivered, known):
                line.given[:0] = [*step.taken, given]
                line.known = None
                self._spawn(self._look_again(line))
                return None
            try:
                self._take_in(step, given)
            except Full as full:
                self._room.wait(given, line, str(full))
            else:
                step.taken.append(given)
        self._room.tried(line)
        return step

    def _take_in(self, step: Step, given: Given) -> None:
        runner, delivered, it = given.runner, given.delivered, given.it
        if delivered.deadline is not None:
            step.ring(given, is_declared=self._outlet.knows(delivered.deadline.event))
            return
        waits = step.applied.is_waiting(it)
        late = delivered.on_lane and not delivered.noted
        has = step.applied.came_late(it) if late else delivered.noted or step.applied.has(it)
        if has and not waits:  # what is noted and does not wait any more was taken in
            step.handled.append(given)
            return
        if given.then is not None:
            step.applied = step.applied.failed(it)
            step.noted.append(given)
            return
        if waits and not delivered.on_lane:
            delivered.noted = self._noted(step.line.token, step.before.sequence)
            step.failed.append((given, Retry(_INTERRUPTED, counts=False)))
            return
        if step.before.unreadable is not None:
            step.failed.append((given, self._unreadable(step.line.token, step.before.unreadable)))
            return
        self._handle(step, given, step.applied.applied(it, runner.floor, late=late))

    def _unreadable(self, token: str, error: BaseException) -> BaseException:
        """What a handler that cannot be given its state has failed of."""
        if isinstance(error, NewerVersion):
            return error  # newer code can read it, and this one waits for that
        return ContractViolation(f"the state {token!r} cannot be read: {text_of(error)}")

    def _handle(self, step: Step, given: Given, applied: Applied) -> None:
        runner, delivered = given.runner, given.delivered
        try:
            value, following = runner.handle(delivered, step.value, step.line.token)
            applied = runner.remarked(applied, delivered, step.value, value)
            if value is KEPT:
                value, payload = step.value, step.payload
            else:
                payload = b"" if value is None else self._encode(value)
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises ends in a verdict
            step.failed.append((given, error))
            return
        step.value, step.payload, step.applied = value, payload, applied
        if value is None:
            step.kept.forget()
        step.following += step.kept.take(following)
        step.cause = runner.cause(delivered, self._prefix + step.line.token)
        step.handled.append(given)
        if applied.size > FULL // 2:
            runner.wants_floor.set()

    def _store(self, step: Step) -> None:
        self._publish(*self._message(step), _Waiter(self, step))

    def _message(self, step: Step) -> Message:
        headers = {
            **said(self.spec.version),
            header.EXPECTED_SEQUENCE: str(step.before.sequence),
            header.APPLIED: applied_text(step.applied),
        }
        if step.cause:
            headers[header.CAUSE] = step.cause
        if step.following:
            headers[header.FOLLOWING] = following_text(step.following)
        if step.kept.pending:
            headers[header.DEADLINES] = pending_text(step.kept.pending)
        subject, block = self._prefix + step.line.token, wire.block(headers)
        step.size = len(block) + len(step.payload)
        return subject.encode(), block, step.payload

    def on_stored(self, step: Step, sequence: int) -> None:
        """The server took a step."""
        if step.before is GUESSED:
            self._novelty.told(is_new=True)
        known = step.stored_at(sequence)
        step.line.known = known
        contention.won(step.line)
        self.alarms.end(step.kept.ended)
        for given in step.noted:
            given.delivered.noted = self._noted(step.line.token, sequence)
        if known.following or known.unset:
            self._follow(step.line, known, (step,))
        else:
            step.conclude()
            self._next(step.line)

    def on_refused(self, step: Step) -> None:
        """Somebody else came first, or it was stored before and nobody heard of it: read again."""
        if step.before is GUESSED:
            self._novelty.told(is_new=False)
        else:
            for given in step.taken:
                given.runner.stats.state_races += 1
        self._put_back(step)
        self._next(step.line)

    def _put_back(self, step: Step) -> None:
        """All of it is to be tried again, with what is stored of its key."""
        step.line.given[:0] = step.taken
        step.line.known = None
        contention.lost(step.line)

    def on_impossible(self, step: Step, reason: str) -> None:
        """The server never takes it: the input is at fault, or there are too many at once."""
        line = step.line
        if len(step.taken) > 1:
            line.given[:0] = step.taken
            line.alone = True
        else:
            error = Reject(f"the state cannot be stored: {reason}")
            step.failed += [(given, error) for given in step.taken]
            step.handled, step.noted = [], []
            step.conclude()
        self._next(line)

    # what follows

    def _follow(self, line: Line, known: Known, steps: tuple[Step, ...]) -> None:
        last = dict(known.applied.last)

        def done() -> None:
            own = {each.subject for each in known.following if self._is_own(line, each.subject)}
            kept = {subject: at for subject, at in last.items() if subject in own}
            applied = known.applied
            if kept:
                applied = msgspec.structs.replace(applied, last={**applied.last, **kept})
            line.known = replace(known, applied=applied, following=(), unset=())
            for step in steps:
                step.conclude()
            self._next(line, has_looked=not steps)

        def wake() -> None:
            self.alarms.set(known.unset, self._noted(line.token, known.sequence), done)

        self._outlet.store(known.following, last, wake)

    def _is_own(self, line: Line, subject: str) -> bool:
        """Whether a subject is of the same key: there are as many as events, and no more."""
        return subject.rpartition(".")[2] == line.token

    # reading

    async def _read(self, line: Line) -> None:
        if line.pause:
            await asyncio.sleep(contention.pause(line))
        subject = self._prefix + line.token
        look = partial(self._outlet.looks.last, self.spec.stream, subject)
        stored = await self._outlet.asking.until_answered(look, subject)
        if line.known is None:
            self._novelty.told(is_new=stored is None)
        elif stored is not None and stored.sequence <= line.known.sequence:
            self._next(line, has_looked=True)  # and all that follows from it is stored
            return
        try:
            known = known_of(stored, self._reader)
            waiting = (given.delivered for given in line.given)
            line.known = replace(known, unset=silent(known.unset, waiting))
        except (msgspec.DecodeError, ValueError) as error:
            line.known = None
            await self._refuse(line, f"{subject} is none of a step's: {error}")
        self._next(line, has_looked=line.known is not None)

    async def _refuse(self, line: Line, why: str) -> None:
        """Somebody else wrote there: the key waits, and says so."""
        log.error("a state's message is forged", state=self.spec.title, why=why)
        self._outlet.held[self._prefix + line.token] = why
        await asyncio.sleep(_REFUSED_SECONDS)
        self._outlet.held.pop(self._prefix + line.token, None)

    async def _look_again(self, line: Line) -> None:
        await asyncio.sleep(_BEHIND_SECONDS)
        self._next(line)

    def _is_behind(self, line: Line, delivered: Delivered, known: Known) -> bool:
        """Whether what is known is older than what noted an input: a follower may have answered."""
        if not delivered.noted:
            return False
        subject, _, sequence = delivered.noted.rpartition(":")
        if subject != self._prefix + line.token or not sequence.isdigit():
            delivered.noted = ""  # of another key: the handler's `by` was changed
            return False
        if known.sequence >= int(sequence):
            line.looks = 0
            return False
        line.looks += 1
        if line.looks > _LOOKS:
            delivered.noted = ""
            return False
        return True

    def _noted(self, token: str, sequence: int) -> str:
        return f"{self._prefix}{token}:{sequence}"


class _Waiter:
    """Waits for the fate of one step (`seam.Waiter`)."""

    __slots__ = ("_step", "_steps")

    def __init__(self, steps: Steps, step: Step) -> None:
        self._steps = steps
        self._step = step

    def on_stored(self, answer: bytes) -> None:
        self._steps.on_stored(self._step, read(answer).seq)

    def on_duplicate(self, _: Message, __: int) -> None:
        self._steps.on_refused(self._step)  # it has no id, so none is taken

    def on_decided(self) -> None:
        self._steps.on_refused(self._step)

    def on_impossible(self, reason: str) -> None:
        self._steps.on_impossible(self._step, reason)
