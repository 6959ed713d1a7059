"""How the deliveries of one handler end: acked, tried again, or dead-lettered; one of them, once.

A failure is counted where it happened, in a message's header on the lane, not by the server's
number of deliveries: what was lost with a process is no failure (ADR-0008).
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from time import monotonic, perf_counter
from typing import Final

import structlog

from jetmesh.declare import Handler, Policy
from jetmesh.errors import ContractViolation, Reject, Retry
from jetmesh.privacy.mask import masked, text_of
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.letters import dead_letter, retry_later, where
from jetmesh.runtime.message.metrics import HandlerStats
from jetmesh.runtime.message.outputs import ConflictingOutputs, UndeclaredOutput
from jetmesh.runtime.message.waiters import Postpone, Terminate
from jetmesh.transport.seam import Transport

QUICK_SECONDS: Final = 2.0
"""A first retry that is due so soon waits in place; others wait on the lane."""
_SHARE_IN_PLACE: Final = 16
"""This part of max_ack_pending may wait in place, or retries would stop new messages."""
_FORGET_SECONDS: Final = 10.0
_GIVE_BACK_SECONDS: Final = 0.1
_LONGEST_RETRY: Final = 365 * 86_400.0


class Expired(Exception):  # noqa: N818 - it ends in a dead letter under this name
    """The message is older than its handler's policy allows."""


_FINAL: Final = (Reject, ContractViolation, UndeclaredOutput, ConflictingOutputs, Expired)
"""Trying again cannot help."""


class Verdicts:
    """Settles deliveries, and knows which ones are not settled yet."""

    def __init__(
        self, handler: Handler, policy: Policy, *, version: str, transport: Transport
    ) -> None:
        self.stats = HandlerStats()
        self.in_flight: dict[bytes, Delivered] = {}
        """Deliveries without a verdict, by their slot."""
        self.unstorable = ""
        """Why the newest letter could not be stored; empty when all could."""
        self._policy = policy
        self._version = version
        self._transport = transport
        self._publish = transport.publish
        self._send_ack = transport.ack
        self._in_place: dict[bytes, tuple[float, int]] = {}
        """What waits in place for its second attempt: when it is due, and how often it failed."""
        self._most_in_place = max(1, policy.max_ack_pending // _SHARE_IN_PLACE)
        self._log = structlog.get_logger().bind(handler=handler.name)

    def hold(self, delivered: Delivered) -> bool:
        """Keep a delivery until its verdict; False when its message is in flight already.

        It may be delivered again while we work on it, as after a lost connection: one run is
        enough, and its verdict belongs to the newest delivery. In a stream that was deleted and
        made again a sequence names another message: that one is new.
        """
        running = self.in_flight.setdefault(delivered.slot, delivered)
        if running is delivered:
            return True
        if not running.is_same(delivered):
            self.in_flight[delivered.slot] = delivered
            running.inflow.settled()
            return True
        running.reply = delivered.reply
        running.meta = delivered.meta
        running.inflow.settled()
        return False

    def recall(self, delivered: Delivered) -> None:
        """What this process knows about a message that it tried before."""
        if known := self._in_place.pop(delivered.slot, None):
            delivered.failures = known[1]

    # handled

    def acknowledge(self, delivered: Delivered) -> None:
        """Everything that the delivery caused is stored."""
        if self._release(delivered):
            self._send_ack(delivered.reply)
            self.stats.acked += 1
            self._settled(delivered)

    # not handled

    def failed(self, delivered: Delivered, error: BaseException) -> None:
        """An attempt raised: another one, or a dead letter, as the policy has it."""
        self.stats.failed += 1
        if isinstance(error, TimeoutError) and not text_of(error):
            trace = error.__traceback__
            error = TimeoutError(f"not done within {self._policy.timeout}").with_traceback(trace)
        text = masked(text_of(error), delivered.event)
        self.stats.last_error = f"{type(error).__name__}: {text}"
        failures = delivered.failures + (not isinstance(error, Retry) or error.counts)
        delay = self._delay(error, failures)
        if (
            isinstance(error, _FINAL)
            or self._policy.is_rejected(error)
            or failures >= self._policy.attempts
            or self._is_too_old(delivered, delay)
        ):
            self.dead_letter(delivered, error)
        else:
            self._log_failure("retry", delivered, error, text, after=round(delay, 3))
            delivered.failures = failures
            self._again(delivered, error, delay)

    def check(self, delivered: Delivered) -> None:
        """Refuse to begin an attempt that makes no sense.

        Raises:
            Reject: a message on the lane stands for no other.
            Expired: the message is older than `max_age`.
        """
        if delivered.misread is not None:
            raise Reject(f"on a lane without its origin: {delivered.misread}")
        if self._is_too_old(delivered, 0.0):
            raise Expired(f"it was stored more than {self._policy.max_age} ago")

    def dead_letter(self, delivered: Delivered, error: BaseException) -> None:
        """Write the letter; the input is terminated when it is stored, not before."""
        text = masked(text_of(error), delivered.event)
        self._log_failure("dead letter", delivered, error, text, where=where(error))
        letter = dead_letter(delivered, self._version, error)
        self._publish(*letter, Terminate(delivered, letter, self._publish))

    def terminate(self, delivered: Delivered, reason: str) -> None:
        """The dead letter is stored: the server may forget the input."""
        self.unstorable = ""
        if self._release(delivered):
            self._transport.terminate(delivered.reply, reason)
            self.stats.dead += 1
            self._settled(delivered)

    def postponed(self, delivered: Delivered) -> None:
        """The retry is stored on the lane: the delivery itself is done with."""
        self.unstorable = ""
        if self._release(delivered):
            self._send_ack(delivered.reply)
            self.stats.retried += 1
            self._settled(delivered)

    def keep_pending(self, delivered: Delivered, reason: str) -> None:
        """Not even the letter can be stored: the input stays, and comes again."""
        self._log.error("the letter cannot be stored", cause=delivered.cause, reason=reason)
        self.unstorable = f"{delivered.cause} cannot be dead-lettered: {reason}"
        self.give_back(delivered, self._policy.backoff_cap)

    def give_back(self, delivered: Delivered, delay: float = _GIVE_BACK_SECONDS) -> None:
        """Return a delivery to the server as it came; it was no attempt."""
        if self._release(delivered):
            self._transport.retry(delivered.reply, delay)
            self._settled(delivered)

    # how

    def _again(self, delivered: Delivered, error: BaseException, delay: float) -> None:
        """In place when it is soon, the first time and not one of many; else on the lane.

        What waits in place keeps its room in max_ack_pending and holds the ack floor.
        """
        first = delivered.deliveries == 1 and not delivered.on_lane
        if first and delay <= QUICK_SECONDS and self._has_room_in_place():
            self.retry_in_place(delivered, delay)
            return
        at = datetime.now(UTC) + timedelta(seconds=delay)
        letter = retry_later(delivered, error, at)
        self._publish(*letter, Postpone(delivered, delay))

    def retry_in_place(self, delivered: Delivered, delay: float) -> None:
        """Let the server deliver it again; how often it failed is known to this process alone."""
        self._in_place[delivered.slot] = (monotonic() + delay, delivered.failures)
        if self._release(delivered):
            self._transport.retry(delivered.reply, delay)
            self.stats.retried += 1
            self._settled(delivered)

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
        age = (datetime.now(UTC) - delivered.stored_at).total_seconds()
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
            error=type(error).__name__,
            message=text,
            **more,
        )

    def _release(self, delivered: Delivered) -> bool:
        """Take a delivery out of flight; False when it was given back meanwhile."""
        if self.in_flight.get(delivered.slot) is not delivered:
            return False
        del self.in_flight[delivered.slot]
        return True

    def _settled(self, delivered: Delivered) -> None:
        self.stats.took(perf_counter() - delivered.received)
        delivered.inflow.settled()
