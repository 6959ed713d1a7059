"""Run one handler's deliveries: decode, call the function, judge what it raises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from time import perf_counter
from typing import Any, Final

from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import Delivery, Handler, Policy, escape_key
from jetmesh.errors import ContractViolation, Retry, Unavailable
from jetmesh.privacy.mask import masked, name_of, text_of
from jetmesh.protocol.headers import MESSAGE_ID
from jetmesh.protocol.ids import cause_of
from jetmesh.runtime.cancelled import is_cancelled
from jetmesh.runtime.message.asking import Asking
from jetmesh.runtime.message.backlog import Backlog, Pace
from jetmesh.runtime.message.belief import Belief, Evidence
from jetmesh.runtime.message.decisions import Decisions
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.delivery import LiveDelivery
from jetmesh.runtime.message.guards import Guards
from jetmesh.runtime.message.letters import unreadable
from jetmesh.runtime.message.newer import Newer
from jetmesh.runtime.message.outage import Outage
from jetmesh.runtime.message.outputs import Outputs
from jetmesh.runtime.message.publisher import Publisher
from jetmesh.runtime.message.quarantine import Quarantine
from jetmesh.runtime.message.reaction import Reaction
from jetmesh.runtime.message.threads import Threads
from jetmesh.runtime.message.timed.firing import Firing
from jetmesh.runtime.message.verdicts import Verdicts
from jetmesh.runtime.message.wrapped import wrapped
from jetmesh.runtime.unread import Unread
from jetmesh.transport.reader import NewerVersion, Removed, event_in, reader_of
from jetmesh.transport.turns import Turns

_CANCEL_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.02
_EXCUSES: Final = 3
"""A delivery that called its dependency away so often, while another one worked, has failed."""


class HandlerRunner:
    """Runs deliveries when nothing speaks against it, now or later (`delivered.Runner`)."""

    def __init__(
        self,
        handler: Handler,
        policy: Policy,
        verdicts: Verdicts,
        *,
        evidence: Evidence,
        injected: Mapping[str, Any],
        quarantine: Quarantine,
        turns: Turns,
        on_change: Callable[[], None],
    ) -> None:
        self.handler = handler
        self._quarantine = quarantine
        name = handler.title
        self.unread = Unread(name)
        """Events of handlers that it could not read."""
        self.outage = Outage(name, policy, self, on_change)
        self.newer = Newer(name, verdicts, on_change)
        self.pace = Pace(name, policy.ack_wait, verdicts.stats, on_change)
        self.backlog = Backlog(turns, self._begin, on_change)
        self._turns = turns
        self._is_inline = handler.runs == "inline"
        self._threads = self.threads_of(handler)
        self.tasks: set[asyncio.Task[None]] = set()
        """Handlers at work."""
        self.stopping = False
        """What is cancelled from now on is given back, it did not fail."""
        self.outputs = outputs = Outputs(handler)
        self.asking = Asking(name)
        verdicts.storing.belief = Belief(evidence.looks, verdicts.publish, self.asking)
        verdicts.storing.spawn = self._spawn
        self.decisions = Decisions(handler, outputs, verdicts, evidence, self.asking)
        self.publisher = Publisher(
            outputs, self.decisions, verdicts, judge=self._judge, spawn=self._spawn
        )
        made = [*outputs.by_type.values()]
        if handler.lost is not None:
            reaction = partial(Reaction, threads=self._threads, judge=self._judge)
            about = handler, handler.lost, policy, verdicts, self.decisions
            self.decisions.react = reacting = reaction(*about, spawn=self._spawn)
            made += reacting.outputs.by_type.values()
        outputs.deadlines.now = verdicts.now
        self._firing = Firing(
            handler, self.decisions, verdicts, judge=self._judge, spawn=self._spawn
        )
        made += self._firing.outputs.by_type.values()
        self.guards = Guards(name, made, evidence.looks, self.asking, on_change)
        self.call = self._call_wrapped if handler.wraps else self._call
        """Call the function with the event and all that it asks for, within what wraps it."""
        self._within = wrapped(self._innermost, handler.wraps)
        self.conclude = self.publisher.conclude
        self.reader = reader_of(handler.input)
        self._verdicts = verdicts
        self._key = handler.input.key
        self._injected = dict(injected)
        self._slots = asyncio.Semaphore(handler.threads or policy.concurrency)
        self._timeout = policy.timeout
        self._settles_later = bool(handler.lost or handler.remembers or handler.ordered)

    def threads_of(self, handler: Handler) -> Threads | None:
        """Where its calls run that would keep the event loop."""
        return Threads(handler.title, handler.threads) if handler.threads else None

    # delivered.Runner

    def begin(self, delivered: Delivered) -> None:
        """Run a delivery now, or when nothing speaks against it any more."""
        backlog = self.backlog
        turn_is_over = self._is_inline and self._turns.is_over
        if not backlog and not backlog.is_paused and not turn_is_over:
            self._begin(delivered)
        elif self.stopping:
            self.give_back(delivered)
        else:
            backlog.add(delivered)

    def _begin(self, delivered: Delivered) -> None:
        """It is its turn; an alarm waits for nothing that a handler needs."""
        if delivered.deadline is not None:
            self._ring(delivered)
        elif self._quarantine.active:
            self._quarantine.park(delivered, self)
        elif self.outage.reason:
            self.outage.wait(delivered)
        elif self._is_inline:
            self._run_inline(delivered)
        else:
            self._spawn(self._run_effect(delivered))

    async def run(self, delivered: Delivered) -> None:
        """Run a delivery, whatever else is on; returns when its handler has, however that ends.

        When who waits for that is cancelled, the handler is, too.
        """
        await self.backlog.opened()
        if self._is_inline:
            self._run_inline(delivered)
            # what it does when it loses, or its step, comes once the server has answered
            while self._is_at_work(delivered):  # noqa: ASYNC110 - an event would cost every message
                await asyncio.sleep(_LOOK_SECONDS)
            return
        # a task of its own: a handler that cancels itself cancels nobody who waits for it
        running = self._spawn(self._run_effect(delivered))
        try:
            await asyncio.wait({running})
        finally:
            if running.cancel():
                await asyncio.wait({running}, timeout=_CANCEL_SECONDS)

    def _is_at_work(self, delivered: Delivered) -> bool:
        """Whether a delivery that runs alone is not done yet."""
        return self._settles_later and delivered.held and not self.outage.reason

    async def probe(self, delivered: Delivered) -> None:
        """Run a delivery to see whether its dependency works, unless another one runs alone."""
        if self._quarantine.active:
            self.outage.wait(delivered)
        else:
            await self.run(delivered)

    def isolate(self, delivered: Delivered) -> None:
        """Run a delivery alone, after the others: processes may have died of it.

        What was given back unread, however often, killed nobody.
        """
        if self.reader.is_newer(delivered.headers):
            self.begin(delivered)
        else:
            self._quarantine.add(delivered, self)

    def give_back(self, delivered: Delivered) -> None:
        """Return a delivery to the server as it came; it was no attempt."""
        self._verdicts.give_back(delivered)

    def dead_letter(self, delivered: Delivered, error: BaseException) -> None:
        """Give a delivery up without running it."""
        try:
            self._verdicts.dead_letter(delivered, error, masked(text_of(error)))
        except BaseException as fault:  # noqa: BLE001 - as below
            self._verdicts.last_resort(delivered, error, fault)

    # how

    def _call_wrapped(self, delivered: Delivered) -> Any:
        return self._within(delivered.event, LiveDelivery(delivered))

    def _innermost(self, event: Struct, delivery: Delivery) -> Any:
        handler = self.handler
        about = {handler.delivery: delivery} if handler.delivery else {}
        return handler.function(event, **about, **self._injected)

    def _call(self, delivered: Delivered) -> Any:
        handler = self.handler
        if handler.delivery is None:
            return handler.function(delivered.event, **self._injected)
        about = {handler.delivery: LiveDelivery(delivered)}
        return handler.function(delivered.event, **about, **self._injected)

    def _run_inline(self, delivered: Delivered) -> None:
        began = perf_counter()
        result, failure = None, self._read(delivered)
        if failure is None:
            try:
                result = self.call(delivered)
            except BaseException as error:  # noqa: BLE001 - whatever a handler raises ends in a verdict
                failure = error
        self.took(perf_counter() - began)
        self.conclude(delivered, result, failure)

    def _ring(self, delivered: Delivered) -> None:
        """The time of a deadline has come."""
        self._firing.fire(delivered)

    def took(self, seconds: float) -> None:
        """A call kept the event loop for so long; of quick ones nobody needs to tell."""
        self.pace.took(seconds)
        if self._turns.is_over:
            self.pace.keeps_the_loop()

    async def _run_effect(self, delivered: Delivered) -> None:
        """Run a handler that is not inline, unless its outcome is stored already."""
        result, failure = None, self._read(delivered)
        if failure is None:
            try:
                async with self._slots:
                    if self._comes_too_late(delivered):
                        return
                    if await self.decisions.is_settled(delivered):
                        return
                    delivered.began = perf_counter()
                    if self._threads is not None:
                        call = partial(self.call, delivered)
                        result, failure = await self._threads.call(call)
                    else:
                        async with asyncio.timeout(self._timeout):
                            result = await self.call(delivered)
            except BaseException as error:  # noqa: BLE001 - as above
                if self.stopping and is_cancelled():
                    return  # whatever it made of that: it was cut short, and is given back
                failure = error
        self.conclude(delivered, result, failure)

    def _comes_too_late(self, delivered: Delivered) -> bool:
        """Whether something speaks against running what waited for its slot."""
        if self.stopping:
            self.give_back(delivered)
            return True
        if self.backlog.is_paused:
            self.backlog.add(delivered)
            return True
        return False

    def _read(self, delivered: Delivered) -> BaseException | None:
        """Decode the event, unless it is one already; what speaks against handling it."""
        try:
            if delivered.event is None:
                delivered.event = self.reader.read(delivered.payload, delivered.headers)
            if self._key is not None:
                escape_key(getattr(delivered.event, self._key))
            self._verdicts.check(delivered)  # once it is known what the letter is about
        except BaseException as error:  # noqa: BLE001 - as above
            return error
        return None

    def _judge(self, delivered: Delivered, failure: BaseException) -> None:
        """An outage is nobody's failure, unless it turned out too often that others work.

        Nor is what the server has to say of what is gone, or what only newer code can read.
        """
        if not delivered.held:
            return  # it was given back meanwhile, and comes again
        try:
            if isinstance(failure, Removed):
                self._verdicts.stats.markers += 1
                self._verdicts.acknowledge(delivered)
                return
            if isinstance(failure, NewerVersion):
                self._wait_for_code(delivered, failure)
                return
            if isinstance(failure, Unavailable) and delivered.excuses < _EXCUSES:
                reason = masked(text_of(failure), delivered.event).strip() or name_of(failure)
                self.outage.report(delivered, reason)
                return
            if delivered.event is None and delivered.deadline is None:
                payload = event_in(delivered.payload, delivered.headers)
                failure = unreadable(self.handler.input, payload, failure)
                self._note(delivered, failure)
            self._verdicts.failed(delivered, failure)
        except BaseException as fault:  # noqa: BLE001 - an error's own code runs when it is judged
            self._verdicts.last_resort(delivered, failure, fault)

    def _wait_for_code(self, delivered: Delivered, newer: NewerVersion) -> None:
        """Have it come again until newer code reads it.

        From outside, where anybody may claim a version, that is a failure like any other, and may
        end in a letter: a few that are held would stand in the way of all.
        """
        if self._is_claimed(delivered):
            self._verdicts.failed(delivered, Retry(str(newer)))
        else:
            self.newer.hold(delivered, newer)

    def _is_claimed(self, delivered: Delivered) -> bool:
        """Whether the version that a delivery says may be anybody's word."""
        if delivered.event is not None or delivered.deadline is not None:
            return False  # it is the state that only newer code reads, or our own alarm
        if self.handler.ordered:
            return False  # nothing from outside is handled in order
        said = wire.parse(delivered.headers).values
        return delivered.failures > 0 or not self.reader.says_made_here(said)

    def _note(self, delivered: Delivered, failure: BaseException) -> None:
        """Count what cannot be read; a handler wrote it in a contract that is not known here.

        What others publish may never have been an event: its letter says so, and that is all.
        """
        if not isinstance(failure, ContractViolation):
            return
        self._verdicts.stats.unreadable += 1
        if delivered.headers and cause_of(wire.parse(delivered.headers).values.get(MESSAGE_ID, "")):
            origin = delivered.origin
            self.unread.add(f"{origin.stream}:{origin.sequence}", masked(text_of(failure)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    # lifecycle

    async def stop(self) -> None:
        """Give back what waits: for a dependency, for its turn, for a permission, to be seen."""
        self.stopping = True
        if self.guards.is_lost:
            for delivered in list(self._verdicts.in_flight.values()):
                self.give_back(delivered)
        self.newer.stop()
        await self.outage.stop()
        for delivered in self.backlog.empty():
            self.give_back(delivered)

    async def cancel(self) -> None:
        """Cancel what still runs."""
        self.guards.stop()
        for task in list(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=_CANCEL_SECONDS)
        if self._threads is not None:
            self._threads.close()
