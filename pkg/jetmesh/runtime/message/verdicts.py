"""How the deliveries of one handler end: acked, tried again, or dead-lettered; one of them, once.

A failure is counted where it happened, in a message's header on the lane, not by the server's
number of deliveries: what was lost with a process is no failure (ADR-0008).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from time import monotonic, perf_counter
from typing import Final

import structlog

from jetmesh.declare import Handler, Policy
from jetmesh.errors import ContractViolation, Reject, Retry
from jetmesh.privacy.mask import masked, name_of, text_of
from jetmesh.protocol.streams import DEADLETTERS, REFUSALS
from jetmesh.runtime.message.belief import Forged
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.letters import (
    dead_letter,
    other_letter,
    other_mark,
    retry_later,
    where,
    without_payload,
)
from jetmesh.runtime.message.metrics import HandlerStats
from jetmesh.runtime.message.returned import ConflictingOutputs, UndeclaredOutput
from jetmesh.runtime.message.storing import Letter, Storing, Told, tell
from jetmesh.runtime.message.unstorable import Unstorable
from jetmesh.transport.reader import NewerVersion
from jetmesh.transport.seam import Message, Transport

QUICK_SECONDS: Final = 2.0
"""A first retry that is due so soon waits in place; others wait on the lane."""
_SHARE_IN_PLACE: Final = 16
"""This part of max_ack_pending may wait in place, or retries would stop new messages."""
_DELIVERIES_PER_ATTEMPT: Final = 2
"""So often may a failing message be delivered in place for each attempt that it has left: only the
process in which it failed counts that as a failure, not its replicas or the one after a restart."""
_FORGET_SECONDS: Final = 10.0
_GIVE_BACK_SECONDS: Final = 0.1
_LONGEST_RETRY: Final = 365 * 86_400.0


class Expired(Exception):  # noqa: N818 - it ends in a dead letter under this name
    """The message is older than its handler's policy allows."""


class Unjudgeable(Exception):  # noqa: N818 - as above
    """An error raised when it was looked at, instead of saying what it is."""


_FINAL: Final = (Reject, ContractViolation, UndeclaredOutput, ConflictingOutputs, Expired)
"""Trying again cannot help."""


class Verdicts:
    """Settles deliveries, and knows which ones are not settled yet."""

    def __init__(self, handler: Handler, policy: Policy, transport: Transport) -> None:
        self.stats = HandlerStats()
        self.in_flight: dict[bytes, Delivered] = {}
        """Deliveries without a verdict, by their slot."""
        self.unstorable = Unstorable()
        self.publish = transport.publish
        self.storing = Storing(transport.publish, self.stats)
        self.may_run_again = handler.runs == "inline"
        """It has no effects, so an input may run once more for nothing."""
        self.leave: Callable[[Delivered, Callable[[], None]], None] = _at_once
        """Does something before an input goes to the lane or becomes a letter."""
        self.part: Callable[[Delivered, Callable[[], None]], None] = _at_once
        """Does something once it is there, before it is settled."""
        self.put_off: Callable[[Delivered, NewerVersion, float], None] | None = None
        """Has what only newer code can read come again later; None: it is held meanwhile."""
        self._policy = policy
        self._transport = transport
        self._send_ack = transport.ack
        self.now = transport.now
        self._in_place: dict[bytes, tuple[float, int, int]] = {}
        """What waits in place: when it is due, how often it failed, and in which delivery last."""
        self._most_in_place = max(1, policy.max_ack_pending // _SHARE_IN_PLACE)
        self._name = handler.name
        self._log = structlog.get_logger().bind(handler=handler.name)

    def hold(self, delivered: Delivered) -> bool:
        """Keep a delivery until its verdict; False when its message is in flight already.

        It may be delivered again while we work on it, as after a lost connection: one run is
        enough, and its verdict belongs to the newest delivery. In a stream that was deleted and
        made again a sequence names another message: that one is new.
        """
        running = self.in_flight.setdefault(delivered.slot, delivered)
        if running is delivered:
            delivered.held = True
            return True
        if running.stored_ns != delivered.stored_ns:
            running.durable.inflow.settled()
            running.held = False
            delivered.held = True
            self.in_flight[delivered.slot] = delivered
            return True
        delivered.durable.inflow.settled()
        running.reply = delivered.reply
        return False

    def recall(self, delivered: Delivered) -> None:
        """What this process knows about a message that it tried before."""
        if known := self._in_place.pop(delivered.name, None):
            _, delivered.failures, delivered.returned = known

    # handled

    def acknowledge(self, delivered: Delivered) -> None:
        """Everything that the delivery caused is stored."""
        if delivered.held:
            self._send_ack(delivered.reply)
            stats = self.stats
            stats.acked += 1
            # as `_settle` does, which would be one more call for every message
            delivered.held = False
            del self.in_flight[delivered.slot]
            if self.unstorable.reasons:
                self.unstorable.remove(delivered.slot)
            stats.took(perf_counter() - delivered.received)
            delivered.durable.inflow.settled()

    # not handled

    def failed(self, delivered: Delivered, error: BaseException) -> None:
        """An attempt raised: another one, or a dead letter, as the policy has it."""
        self.stats.failed += 1
        if isinstance(error, TimeoutError) and not text_of(error):
            trace = error.__traceback__
            error = TimeoutError(f"not done within {self._policy.timeout}").with_traceback(trace)
        text = masked(text_of(error), delivered.event)
        self.stats.last_error = f"{name_of(error)}: {text}"
        failures = delivered.failures + bool(not isinstance(error, Retry) or error.counts)
        delay = self._delay(error, failures)
        if (
            isinstance(error, _FINAL)
            or self._policy.is_rejected(error)
            or failures >= self._policy.attempts
            or self._is_too_old(delivered, delay)
        ):
            self.dead_letter(delivered, error, text)
        else:
            self._log_failure("retry", delivered, error, text, after=round(delay, 3))
            delivered.failures = failures
            self._again(delivered, error, text, delay)

    def check(self, delivered: Delivered) -> None:
        """Refuse to begin an attempt that makes no sense.

        Raises:
            Reject: a message on the lane stands for no other.
            Expired: the message is older than `max_age`.
        """
        if delivered.misread is not None:
            raise Reject(f"typed onto the lane by hand, without an origin: {delivered.misread}")
        if self._is_too_old(delivered, 0.0):
            raise Expired(f"it was stored more than {self._policy.max_age} ago")

    def dead_letter(self, delivered: Delivered, error: BaseException, text: str) -> None:
        """Write the letter, with `text` masked; the input is terminated when it is stored."""
        place = where(error, delivered.durable.handler)
        self._log_failure("dead letter", delivered, error, text, where=place)

        def leave() -> None:
            self._store(delivered, dead_letter(delivered, error, text))

        self.leave(delivered, leave)

    def last_resort(self, delivered: Delivered, error: BaseException, fault: BaseException) -> None:
        """Judging `error` raised `fault`: write what is known for sure, or give it back."""
        if not delivered.held:
            return
        text = f"{name_of(error)} could not be judged: {name_of(fault)}"
        try:
            self.dead_letter(delivered, Unjudgeable(text), text)
        except BaseException as another:  # noqa: BLE001 - nothing leaves a delivery without a verdict
            self._keep(delivered, f"{text}, then {name_of(another)}")

    def ignored(self, delivered: Delivered, mark: Message) -> None:
        """Its key is decided by another cause: ack it once the mark of that is stored."""

        def acknowledge(_: str = "") -> None:  # a mark is worth no retry
            self.acknowledge(delivered)

        self._mark(delivered, mark, acknowledge)

    async def marked(self, delivered: Delivered, mark: Message) -> None:
        """Return once a mark is stored, or cannot be."""
        known = asyncio.Event()

        def done(_: str = "") -> None:
            known.set()

        self._mark(delivered, mark, done)
        await known.wait()

    def keep(self, delivered: Delivered, forged: Forged) -> None:
        """Return an input as it came: something forged stands where its output belongs.

        It comes again, as in an outage: whoever removes that lets it go on.
        """
        if not delivered.held:
            return
        pause = self._tell_forged(delivered, forged)
        entry = self.unstorable.reasons[delivered.slot]
        self._remember(delivered, pause, delivered.deliveries)
        self.give_back(delivered, pause)
        self.unstorable.reasons[delivered.slot] = entry  # it has no verdict

    def hold_on(self, delivered: Delivered, forged: Forged) -> float:
        """Keep an input in flight that had its effect already; in how many seconds to look again.

        What it waits for is as in `keep`.
        """
        return self._tell_forged(delivered, forged)

    def give_back(self, delivered: Delivered, delay: float = _GIVE_BACK_SECONDS) -> None:
        """Return a delivery to the server as it came; it was no attempt."""
        if delivered.held:
            self._transport.retry(delivered.reply, delay)
            self._settle(delivered)

    def postpone(self, delivered: Delivered, delay: float) -> None:
        """Return a delivery for a while; this process knows that it was not lost."""
        self._remember(delivered, delay, delivered.deliveries)
        self.give_back(delivered, delay)

    def hand_on(self, delivered: Delivered) -> None:
        """Ack what comes again another way."""
        if delivered.held:
            self._send_ack(delivered.reply)
            self.stats.retried += 1
            self._settle(delivered)

    # how

    def _tell_forged(self, delivered: Delivered, forged: Forged) -> float:
        """Say so where people look, the first time in the log; in how many seconds it is due."""
        rounds = self.unstorable.rounds(delivered.slot) + 1
        if rounds == 1:
            tell(self.stats, self._name, delivered.cause, forged)
        pause = self._policy.delay(rounds, random.random())  # noqa: S311 - jitter is no secret
        seconds = pause + self._policy.ack_wait + _FORGET_SECONDS
        reason = (
            f"{delivered.cause} waits, because {forged.place} stands where its outcome belongs and "
            f"is forged: {forged.why}; jetmesh heal {forged.place} shows and removes it"
        )
        place = forged.place
        self.unstorable.add(delivered.slot, reason, seconds, place=place, rounds=rounds)
        return pause

    def _mark(self, delivered: Delivered, mark: Message, done: Callable[..., None]) -> None:
        """A mark is worth no retry: whatever becomes of it, that is all."""

        def forged(found: Forged) -> None:
            tell(self.stats, self._name, delivered.cause, found)
            done()

        self.storing.store(Letter(REFUSALS, mark, delivered.cause, other_mark, done, done, forged))

    def _store(self, delivered: Delivered, letter: Message) -> None:
        """Terminate the input once its letter is stored; without payload where that is too much.

        Where not even that can be stored, the input stays, and comes again.
        """

        def terminated() -> None:
            self.part(delivered, terminate)

        def terminate() -> None:
            if delivered.held:
                self._transport.terminate(delivered.reply, "dead-lettered")
                self.stats.dead += 1
                self._settle(delivered)

        def keep(reason: str) -> None:
            smaller = without_payload(letter)
            if smaller != letter:
                self._store(delivered, smaller)
            else:
                self._keep(delivered, reason)

        forged = partial(self.keep, delivered)
        about = DEADLETTERS, letter, delivered.cause, other_letter
        self.storing.store(Letter(*about, terminated, keep, forged))

    def _keep(self, delivered: Delivered, reason: str) -> None:
        """Leave a message in its stream, of which no letter can be stored, and say so."""
        pause = self._policy.backoff_cap
        self._remember(delivered, pause, delivered.returned)
        self.give_back(delivered, pause)
        cause = delivered.cause
        self._log.error("the letter cannot be stored", cause=cause, reason=reason)
        # longer than it takes to come again and to be handled
        seconds = pause + self._policy.ack_wait + _FORGET_SECONDS
        self.unstorable.add(delivered.slot, f"{cause} cannot be dead-lettered: {reason}", seconds)

    def _again(self, delivered: Delivered, error: BaseException, text: str, delay: float) -> None:
        """In place when it is soon, the first time and not one of many; else on the lane.

        What waits in place keeps its room in max_ack_pending and holds the ack floor.
        """
        first = delivered.deliveries == 1 and not delivered.on_lane
        if first and delay <= QUICK_SECONDS and self._has_room_in_place():
            self._retry_in_place(delivered, delay)
        else:
            self.leave(delivered, partial(self._on_lane, delivered, error, text, delay))

    def _on_lane(self, delivered: Delivered, error: BaseException, text: str, delay: float) -> None:
        def postponed() -> None:
            self.part(delivered, partial(self.hand_on, delivered))

        def too_large(_: str) -> None:  # for the lane; it was not for its stream
            counts = not isinstance(error, Retry) or error.counts
            left = self._policy.attempts - delivered.brought
            if counts and delivered.deliveries >= left * _DELIVERIES_PER_ATTEMPT:
                delivered.failures -= 1  # the letter counts this one itself
                self.dead_letter(delivered, error, text)
            else:
                self._retry_in_place(delivered, delay)

        at = self.now() + timedelta(seconds=delay)
        letter = retry_later(delivered, error, text, at)
        # on a lane, which is ours alone, a repetition is ours; perhaps it is gone already
        self.publish(*letter, Told(postponed, too_large, lambda *_: postponed()))

    def _retry_in_place(self, delivered: Delivered, delay: float) -> None:
        """Let the server deliver it again; how often it failed is known to this process alone."""
        self._remember(delivered, delay, delivered.deliveries)
        if delivered.held:
            self._transport.retry(delivered.reply, delay)
            self.stats.retried += 1
            self._settle(delivered)

    def _remember(self, delivered: Delivered, delay: float, returned: int) -> None:
        self._in_place[delivered.name] = (monotonic() + delay, delivered.failures, returned)

    def _has_room_in_place(self) -> bool:
        """Forgets what another process took over; entries are about in the order of their time."""
        before = monotonic() - _FORGET_SECONDS
        while self._in_place:
            oldest = next(iter(self._in_place))
            if self._in_place[oldest][0] > before:
                break
            del self._in_place[oldest]
        return len(self._in_place) < self._most_in_place

    def _delay(self, error: BaseException, failures: int) -> float:
        asked = error.after if isinstance(error, Retry) else None
        if isinstance(asked, int | float) and 0 <= asked <= _LONGEST_RETRY:
            return float(asked)
        return self._policy.delay(max(1, failures), random.random())  # noqa: S311 - jitter is no secret

    def _is_too_old(self, delivered: Delivered, delay: float) -> bool:
        if not self._policy.max_age or delivered.origin.replays:
            return False  # what a person replayed is meant to be handled, however old
        age = (self.now() - delivered.origin.stored_at).total_seconds()
        return age + delay > self._policy.max_age

    def _log_failure(
        self, what: str, delivered: Delivered, error: BaseException, text: str, **more: object
    ) -> None:
        level = self._log.warning if what == "retry" else self._log.error
        level(
            what,
            key=delivered.key,
            cause=delivered.cause,
            attempt=delivered.attempt,
            error=name_of(error),
            message=text,
            **more,
        )

    def _settle(self, delivered: Delivered) -> None:
        """Take a delivery out of flight: it has its verdict, or was given back."""
        delivered.held = False
        del self.in_flight[delivered.slot]
        if self.unstorable.reasons:
            self.unstorable.remove(delivered.slot)
        self.stats.took(perf_counter() - delivered.received)
        delivered.durable.inflow.settled()


def _at_once(_: Delivered, leave: Callable[[], None]) -> None:
    """Nothing has to be done before."""
    leave()
