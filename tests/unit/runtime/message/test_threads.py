"""A `def` handler in threads: bounded, side by side, and every call ends in a verdict."""

from __future__ import annotations

import asyncio
import threading

import pytest

from jetmesh import Delivery, Duration, Policy, Reject, Unavailable
from jetmesh.runtime.message.threads import Threads
from jetmesh.testing import eventually
from tests.unit.runtime.message.desk import Accepted, Desk, Placed, all_that_can_run, message_id
from tests.unit.runtime.message.wire import Ack, Nak, Published


class Gate:
    """A handler that waits, in its thread, until it may go on."""

    def __init__(self, threads: int = 2, policy: Policy | None = None) -> None:
        self.open = threading.Event()
        self.at_once = self.most = 0
        self.names: set[str] = set()
        self._lock = threading.Lock()

        def look(placed: Placed, about: Delivery) -> Accepted:
            with self._lock:
                self.names.add(threading.current_thread().name)
                self.at_once += 1
                self.most = max(self.most, self.at_once)
            self.open.wait(10)
            with self._lock:
                self.at_once -= 1
            return Accepted(placed.order_id, about.attempt)

        self.desk = Desk(look, policy=policy or Policy(), threads=threads)
        self.desk.wire.fate = Published.stored

    def deliver(self, count: int) -> list[bytes]:
        return [self.desk.deliver(Placed(f"k-{n}"), n) for n in range(1, count + 1)]


async def test_as_many_calls_run_at_once_as_there_are_threads() -> None:
    gate = Gate(threads=2)
    replies = gate.deliver(3)
    await eventually(lambda: gate.at_once == 2)
    await all_that_can_run()
    assert gate.at_once == 2
    gate.open.set()
    await eventually(lambda: not gate.desk.in_flight)
    assert gate.most == 2
    assert gate.names == {"desk.look-0", "desk.look-1"}
    assert sorted(each.reply for each in gate.desk.wire.verdicts) == sorted(replies)
    assert {type(each) for each in gate.desk.wire.verdicts} == {Ack}


@pytest.mark.parametrize(
    ("threads", "stream", "lane"), [(1, 2, 1), (4, 6, 1), (16, 24, 4), (128, 192, 32)]
)
def test_few_more_are_in_flight_than_threads(threads: int, stream: int, lane: int) -> None:
    desk = Gate(threads).desk
    assert (desk.source.limit, desk.lane.limit) == (stream, lane)


@pytest.mark.parametrize(
    "error", [ValueError, StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit]
)
async def test_whatever_a_call_raises_ends_in_a_verdict(error: type[BaseException]) -> None:
    def look(placed: Placed) -> None:
        raise error

    desk = Desk(look, threads=1)
    reply = desk.deliver()
    await eventually(lambda: not desk.in_flight)
    assert [each.reply for each in desk.wire.verdicts] == [reply]
    assert desk.stats.failed == 1


async def test_an_outage_is_one_in_a_thread_too() -> None:
    errors: list[BaseException] = [Unavailable("the gateway"), Reject("no")]

    def look(placed: Placed) -> None:
        if errors:
            raise errors.pop(0)

    desk = Desk(look, threads=1)
    desk.deliver(Placed("a"), 1)
    await eventually(lambda: desk.stats.failed)
    assert (errors, desk.stats.failed) == ([], 1), "only what is the handler's fault counts"


async def test_an_outcome_that_is_stored_already_is_not_repeated() -> None:
    gate = Gate()
    gate.desk.streams.hold(
        "desk.*.k-1", "desk.accepted.k-1", message_id("look", 1, "desk.accepted.k-1")
    )
    reply = gate.desk.deliver()
    await eventually(lambda: gate.desk.wire.verdicts == [Ack(reply)])
    assert gate.names == set()


async def test_no_timeout_ends_a_call_and_what_waits_for_a_thread_is_given_back_at_a_stop() -> None:
    gate = Gate(threads=1, policy=Policy(timeout=Duration(0.01)))
    running, waiting = gate.deliver(2)
    await eventually(lambda: gate.at_once)
    await gate.desk.consumer.stop()
    await asyncio.sleep(0.02)  # longer than the timeout, which an async def handler has
    assert gate.desk.wire.verdicts == []
    gate.open.set()
    await eventually(lambda: not gate.desk.in_flight)
    assert [type(each) for each in gate.desk.wire.verdicts] == [Ack, Nak]
    assert [each.reply for each in gate.desk.wire.verdicts] == [running, waiting]


async def test_a_call_that_does_not_return_is_given_back_and_its_end_changes_nothing() -> None:
    gate = Gate(threads=1)
    (reply,) = gate.deliver(1)
    await eventually(lambda: gate.at_once)
    await gate.desk.consumer.stop()
    assert await gate.desk.consumer.give_back() == 1
    gate.open.set()
    await eventually(lambda: not gate.at_once)
    await all_that_can_run()
    (verdict,) = gate.desk.wire.verdicts
    assert (type(verdict), verdict.reply) == (Nak, reply)
    assert gate.desk.wire.published == []


async def test_threads_end_when_they_are_closed() -> None:
    threads = Threads("closing", 3)
    assert await threads.call(lambda: 7) == (7, None)
    threads.close()

    def alive() -> list[str]:
        return [each.name for each in threading.enumerate() if each.name.startswith("closing-")]

    await eventually(lambda: not alive())
