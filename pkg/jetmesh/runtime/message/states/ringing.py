"""Deadlines that a state keeps, and the alarms that wake for them (ADR-0035).

The state's message alone tells which deadlines there are: a step sets, ends or fires them. An alarm
only wakes, so it may ring too early or twice. It is set once the step is stored, and again by
whoever reads the key from the stream: one that waits already is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from jetmesh import wire
from jetmesh.declare import Handler
from jetmesh.protocol import headers as header
from jetmesh.protocol.deadlines import Deadline, Pending, alarm, cancelled_subject, cancelling
from jetmesh.protocol.steps import Following
from jetmesh.protocol.subjects import lane_subject
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.transport.seam import Message, Transport

_HELD_SECONDS: Final = 2.0
Effect: TypeAlias = Following | Pending | Deadline
"""What a step leads to: an event, a deadline that is set, and one that is cancelled."""


@dataclass(slots=True)
class Kept:
    """The deadlines of one key while a step is made."""

    pending: tuple[Pending, ...]
    """Another object as soon as something has changed."""
    ended: tuple[Pending, ...] = ()
    """Those whose alarm is needed no more."""

    def take(self, effects: Iterable[Effect]) -> list[Following]:
        """Set and cancel what is to be; returns the events."""
        events: list[Following] = []
        for each in effects:
            if isinstance(each, Pending):
                self._set(each)
            elif isinstance(each, Deadline):
                self._end(self._of(each))
            else:
                events.append(each)
        return events

    def forget(self) -> None:
        """End all of them."""
        for each in self.pending:
            self._end(each)

    def ring(self, delivered: Delivered) -> Following | None:
        """What comes of an alarm: the event, when it is due and was not cancelled meanwhile.

        By the server's clock, which rang.
        """
        now = delivered.stored_ns
        found = self._of(delivered.deadline) if delivered.deadline else None
        if found is None or found.due > now:
            if found is not None and found.rings <= now:  # it was postponed
                self._replace(found, found.postponed(found.due))
            return None
        self._replace(found)
        return Following(found.deadline.subject, found.id, found.payload, found.version)

    def has(self, deadline: Deadline) -> bool:
        """Whether it is to come."""
        return self._of(deadline) is not None

    def _set(self, wanted: Pending) -> None:
        """An alarm that rings too early is kept: postponing costs nothing until then."""
        known = self._of(wanted.deadline)
        if known is not None and known.rings <= wanted.due:
            self._replace(known, wanted.postponed(known.rings))
        else:
            self._end(known)
            self.pending = (*self.pending, wanted)

    def _end(self, known: Pending | None) -> None:
        if known is not None:
            self._replace(known)
            self.ended = (*self.ended, known)

    def _replace(self, known: Pending, *others: Pending) -> None:
        self.pending = (*(each for each in self.pending if each is not known), *others)

    def _of(self, deadline: Deadline) -> Pending | None:
        return next((each for each in self.pending if each.deadline == deadline), None)


def unset(pending: tuple[Pending, ...], before: tuple[Pending, ...]) -> tuple[Pending, ...]:
    """Those that have no alarm yet, where those of `before` have one."""
    if pending is before:
        return ()
    known = {(each.deadline, each.rings) for each in before}
    return tuple(each for each in pending if (each.deadline, each.rings) not in known)


def silent(pending: tuple[Pending, ...], waiting: Iterable[Delivered]) -> tuple[Pending, ...]:
    """Those whose alarm is none of what waits for the key: it has not just rung."""
    rung = {each.deadline: each.stored_ns for each in waiting if each.deadline}
    return tuple(each for each in pending if rung.get(each.deadline, 0) < each.rings)


class Alarms:
    """Sets the alarms of one state's deadlines, on the lanes of those who asked for them."""

    def __init__(
        self,
        transport: Transport,
        held: dict[str, str],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.handlers: dict[str, Handler] = {}
        """Whoever remembers the state, by name."""
        self.publish = transport.publish
        self._held = held
        """By subject: why something cannot be stored, in words."""
        self._spawn = spawn

    def set(self, deadlines: tuple[Pending, ...], noted: str, done: Callable[[], None]) -> None:
        """Set the alarms of deadlines that the state's message `noted` has; then call `done`."""
        left = len(deadlines)
        if not left:
            done()
            return

        def one_less() -> None:
            nonlocal left
            left -= 1
            if not left:
                done()

        for each in deadlines:
            self._send(self._alarm(each, noted), one_less)

    def end(self, deadlines: Iterable[Pending]) -> None:
        """Have the server forget alarms; one that rings all the same wakes for nothing."""
        for each in deadlines:
            service = self._asking(each).service
            headers = cancelling(each.deadline.alarm(service, each.rings))
            subject = cancelled_subject(service).encode()
            self.publish(subject, wire.block(headers), b"", _Waiter(_nothing, _ignored))

    # how

    def _alarm(self, pending: Pending, noted: str) -> Message:
        handler = self._asking(pending)
        token = noted.rpartition(":")[0].rpartition(".")[2]
        target = lane_subject(handler.service, handler.name, token)
        origin = pending.origin._replace(noted=noted)
        headers = {
            **header.carried(pending.trace),
            header.EXPECTED_SEQUENCE: "0",  # where it waits already it is left alone
            **alarm(pending.deadline, target, origin, pending.rings),
        }
        place = pending.deadline.alarm(handler.service, pending.rings)
        return place.encode(), wire.block(headers), b""

    def _asking(self, pending: Pending) -> Handler:
        """Whoever asked for it, or another one when nobody is called so any more."""
        first = next(iter(self.handlers.values()))
        return self.handlers.get(pending.handler, first)

    def _send(self, message: Message, done: Callable[[], None]) -> None:
        def impossible(reason: str) -> None:
            self._spawn(self._wait(message, done, reason))

        self.publish(*message, _Waiter(done, impossible))

    async def _wait(self, message: Message, done: Callable[[], None], reason: str) -> None:
        """It cannot be set, and its deadline is: the key waits until it can."""
        place = message[0].decode()
        self._held[place] = f"the alarm {place} cannot be set: {reason}"
        await asyncio.sleep(_HELD_SECONDS)
        self._held.pop(place, None)
        self._send(message, done)


@dataclass(frozen=True, slots=True)
class _Waiter:
    """Waits until an alarm is there, whoever set it (`seam.Waiter`)."""

    done: Callable[[], None]
    impossible: Callable[[str], None]

    def on_stored(self, _: bytes) -> None:
        self.done()

    def on_duplicate(self, _: Message, __: int) -> None:
        self.done()

    def on_decided(self) -> None:
        self.done()

    def on_impossible(self, reason: str) -> None:
        self.impossible(reason)


def _nothing() -> None: ...


def _ignored(_: str) -> None: ...
