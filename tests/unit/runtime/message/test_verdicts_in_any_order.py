"""Exactly one verdict for each delivery, in whatever order things happen to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jetmesh import Duration, Policy, Reject, Retry, Unavailable
from jetmesh.protocol.streams import lane_stream
from tests.examples import examples
from tests.unit.runtime.message.desk import (
    Accepted,
    Desk,
    Noted,
    Placed,
    all_that_can_run,
    message_id,
    origin,
)
from tests.unit.runtime.message.wire import STORED_NS, Published, Source

_LANES = lane_stream("desk")
ENDS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "decision": lambda: Accepted("k-1"),
    "several": lambda: [Noted("a"), Noted("b")],
    "decision and more": lambda: [Noted("a"), Accepted("k-1")],
    "undeclared": lambda: 5,
    "error": lambda: ValueError("broken"),
    "retry": lambda: Retry(after=60),
    "retry for nothing": lambda: Retry(counts=False),
    "reject": lambda: Reject("never"),
    "away": lambda: Unavailable("the gateway"),
}
MESSAGES = st.integers(1, 3)
ANY = st.integers(0, 100)
_STEP_SECONDS = 0.1
T = TypeVar("T")
AT_ONCE = Policy(backoff=Duration(0), backoff_cap=Duration(0))
"""No pause depends on a clock: an order that fails once fails again."""


def told(end: str) -> Any:
    """What a handler returns; raises what it raises."""
    made = ENDS[end]()
    if isinstance(made, Exception):
        raise made
    return made


class AnyOrder(RuleBasedStateMachine):
    """A `def` handler whose messages are delivered, lost, refused and given back at random."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.loop.time = lambda: self.now  # type: ignore[method-assign] # pauses end when the test says
        self.end = "nothing"
        self.desk = self.make()
        self.made_again = 0
        self.numbers: dict[tuple[str, int], Iterator[int]] = {}
        self.newest: dict[tuple[str, int], bytes] = {}
        self.returned = 0
        """Verdicts that give a delivery back."""

    def make(self) -> Desk:
        def look(placed: Placed) -> list[Accepted | Noted]:
            made: list[Accepted | Noted] = told(self.end)
            return made

        return Desk(look, policy=AT_ONCE)

    def do(self, act: Callable[[], T]) -> T:
        """Do something on the loop, and let happen what follows from it."""

        async def turn() -> T:
            result = act()
            await all_that_can_run()
            self.now += _STEP_SECONDS
            return result

        return self.loop.run_until_complete(turn())

    # what happens

    @rule(sequence=MESSAGES, end=st.sampled_from(sorted(ENDS)))
    def deliver(self, sequence: int, end: str) -> None:
        self.end = end
        number = next(self.numbers.setdefault(("", sequence), count(1)))
        stored = STORED_NS + self.made_again
        self.newest["", sequence] = self.do(
            lambda: self.desk.deliver(Placed("k-1"), sequence, number, stored_ns=stored)
        )

    @rule(sequence=MESSAGES, end=st.sampled_from(sorted(ENDS)))
    def deliver_on_lane(self, sequence: int, end: str) -> None:
        self.end = end
        number = next(self.numbers.setdefault((_LANES, sequence), count(1)))
        self.newest[_LANES, sequence] = self.do(
            lambda: self.desk.deliver_on_lane(Placed("k-1"), sequence, number, origin=origin())
        )

    @rule()
    def make_the_stream_again(self) -> None:
        self.made_again += 1
        for stream, sequence in list(self.numbers):
            if not stream:
                del self.numbers[stream, sequence]

    @precondition(lambda self: self.desk.wire.pending)
    @rule(which=ANY, fate=st.sampled_from(["stored", "decided", "impossible"]))
    def decide(self, which: int, fate: str) -> None:
        pending = self.desk.wire.pending
        sent = pending[which % len(pending)]
        before = len(self.desk.wire.verdicts)
        self.do(getattr(sent, fate))
        if fate == "impossible" and sent.subject.startswith("deadletters.") and not sent.payload:
            self.returned += len(self.desk.wire.verdicts) - before

    @precondition(lambda self: self.desk.in_flight)
    @rule(which=ANY)
    def give_back(self, which: int) -> None:
        held = list(self.desk.consumer.in_flight.values())
        self.do(lambda: self.desk.consumer.verdicts.give_back(held[which % len(held)]))
        self.returned += 1

    @rule(ours=st.sampled_from([None, True, False]))
    def somebody_decides(self, ours: bool | None) -> None:  # noqa: FBT001 - hypothesis passes it by name
        wanted = "desk.*.k-1"
        self.desk.streams.held.clear()
        if ours is not None:
            by = message_id("look", 1 if ours else 4711, "desk.accepted.k-1")
            self.desk.streams.hold(wanted, "desk.accepted.k-1", by)

    # what is promised

    @invariant()
    def no_reply_has_two_verdicts(self) -> None:
        replies = [each.reply for each in self.desk.wire.verdicts]
        assert len(replies) == len(set(replies))

    @invariant()
    def what_is_in_flight_has_no_verdict(self) -> None:
        settled = {each.reply for each in self.desk.wire.verdicts}
        for slot, delivered in self.desk.consumer.in_flight.items():
            assert delivered.held
            assert delivered.slot == slot
            assert delivered.reply not in settled

    @invariant()
    def room_is_made_once_for_each(self) -> None:
        flying = list(self.desk.consumer.in_flight.values())
        sources: tuple[Source, Source] = (self.desk.source, self.desk.lane)
        for source, on_lane in zip(sources, (False, True), strict=True):
            assert source.unsettled == sum(each.on_lane is on_lane for each in flying)

    @invariant()
    def every_verdict_is_counted_once(self) -> None:
        stats = self.desk.stats
        verdicts = len(self.desk.wire.verdicts)
        assert stats.acked + stats.retried + stats.dead + self.returned == verdicts
        assert sum(stats.buckets) == verdicts
        assert stats.delivered == self.desk.source.arrived + self.desk.lane.arrived

    def teardown(self) -> None:
        """Everything that is still open ends well: then each message has its verdict."""
        try:
            self.loop.run_until_complete(self._drained())
            settled = {each.reply for each in self.desk.wire.verdicts}
            assert settled.issuperset(self.newest.values())
            assert self.desk.source.unsettled == self.desk.lane.unsettled == 0
            assert not self.desk.consumer.runner.tasks
            self.no_reply_has_two_verdicts()
            self.every_verdict_is_counted_once()
        finally:
            self.loop.close()

    async def _drained(self) -> None:
        self.end = "nothing"
        self.desk.wire.fate = Published.stored
        async with asyncio.timeout(5):
            consumer = self.desk.consumer
            while self.desk.in_flight or consumer.runner.tasks or consumer.runner.outage.reason:
                for sent in self.desk.wire.pending:
                    sent.stored()
                self.now += _STEP_SECONDS / 100
                await asyncio.sleep(0)


class AnyOrderOfEffects(AnyOrder):
    """An `async def` handler too, which ends when the test says."""

    def make(self) -> Desk:
        self.running: dict[asyncio.Future[str], str] = {}
        self.most: dict[str, int] = {}

        async def look(placed: Placed) -> list[Accepted | Noted]:
            if self.desk.wire.fate is Published.stored:
                return []
            ending: asyncio.Future[str] = self.loop.create_future()
            self.running[ending] = ""
            try:
                made: list[Accepted | Noted] = told(await ending)
            finally:
                del self.running[ending]
            return made

        return Desk(look, policy=AT_ONCE)

    @precondition(lambda self: self.running)
    @rule(which=ANY, end=st.sampled_from(sorted(ENDS)))
    def end_one(self, which: int, end: str) -> None:
        running = list(self.running)
        self.do(lambda: running[which % len(running)].set_result(end))

    async def _drained(self) -> None:
        for ending in list(self.running):
            if not ending.done():
                ending.set_result("nothing")
        await super()._drained()


for machine in (AnyOrder, AnyOrderOfEffects):
    machine.TestCase.settings = settings(
        max_examples=examples(50), stateful_step_count=25, deadline=None
    )
TestAnyOrder = AnyOrder.TestCase
TestAnyOrderOfEffects = AnyOrderOfEffects.TestCase
