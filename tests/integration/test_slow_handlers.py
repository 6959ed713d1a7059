"""`def` handlers that take their time, thousands of times too long for one turn of the loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from time import monotonic

from jetmesh.operate.asking.instances import instances
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.session import Session
from tests.integration.child_process import Child
from tests.integration.planes import both, publish, settings_of

SOON = 1.0
"""Seconds after the running call in which it answers, and ends."""
MakeChild = Callable[..., Child]


async def waiting(broker: Broker, domain: str, count: int) -> list[str]:
    """Store so many events; their keys."""
    keys = [f"p-{number}" for number in range(count)]
    async with both(settings_of(broker)) as (plane, _):
        told = (
            publish(plane, f"{domain}-in.placed.{key}", b'{"order_id":"%b"}' % key.encode())
            for key in keys
        )
        assert set(await asyncio.gather(*told)) == {"stored"}
    return keys


async def starting(child: MakeChild, broker: Broker, seconds: float, threads: int = 0) -> Child:
    made = child(broker.url, script="slow")
    made.start(CHILD_SECONDS=str(seconds), CHILD_THREADS=str(threads))
    await made.ready()
    return made


async def answering(service: Child, path: str, done: Callable[[], bool]) -> float:
    """Ask until `done`; the longest time that an answer took."""
    longest = 0.0
    while not done():
        began = monotonic()
        status, text = await service.get(path, timeout=20)
        longest = max(longest, monotonic() - began)
        assert status == 200, text
        await asyncio.sleep(0.05)
    return longest


async def settled(control: ControlPlane, domain: str) -> bool:
    durable = f"{domain.upper()}_IN.{domain}-service-work"
    info = await control.api(f"CONSUMER.INFO.{durable}")
    return not (info["num_pending"] or info["num_ack_pending"])


def all_settled(control: ControlPlane, domain: str) -> Callable[[], Awaitable[bool]]:
    return lambda: settled(control, domain)


async def test_each_message_of_a_slow_handler_runs_once_and_the_service_answers_meanwhile(
    child: MakeChild, own_broker: Broker, unique: str
) -> None:
    """30 ms a call, and three ack_wait of them."""
    first = await starting(child, own_broker, 0.03)
    keys = await waiting(own_broker, unique, 200)
    longest = await answering(first, "/readyz", lambda: len(first.effects) >= len(keys))
    assert longest < SOON
    async with both(settings_of(own_broker)) as (_, control):
        await eventually(all_settled(control, unique), what="every verdict")
    assert Counter(first.effects) == dict.fromkeys(keys, 1)


async def test_acks_of_a_slow_handler_leave_while_it_is_at_work(
    child: MakeChild, own_broker: Broker, unique: str
) -> None:
    first = await starting(child, own_broker, 0.05)
    await waiting(own_broker, unique, 100)

    async with both(settings_of(own_broker)) as (_, control):

        async def some_are_acked() -> bool:
            info = await control.api(f"CONSUMER.INFO.{unique.upper()}_IN.{unique}-service-work")
            return bool(info["ack_floor"]["stream_seq"])

        await eventually(some_are_acked, what="an ack")
    assert len(first.effects) < 50


async def test_a_slow_handler_ends_soon_after_the_running_call_and_gives_back_the_rest(
    child: MakeChild, own_broker: Broker, unique: str
) -> None:
    first = await starting(child, own_broker, 0.05)
    keys = await waiting(own_broker, unique, 100)
    await eventually(lambda: len(first.effects) > 5, what="it is at it")
    first.process.terminate()
    assert await first.ended(within=0.05 + SOON + 1) == 0  # one for the process to go
    assert len(first.effects) < 60

    second = child(own_broker.url, script="slow").start(CHILD_SECONDS="0")
    async with both(settings_of(own_broker)) as (_, control):
        await eventually(all_settled(control, unique), what="the rest")
    assert Counter(second.effects) == dict.fromkeys(keys, 1)


async def test_two_processes_of_a_slow_handler_run_no_message_twice(
    child: MakeChild, own_broker: Broker, unique: str
) -> None:
    both_of_them = [await starting(child, own_broker, 0.05) for _ in range(2)]
    keys = await waiting(own_broker, unique, 200)
    effects = both_of_them[0]
    longest = await asyncio.gather(
        *(
            answering(each, "/healthz", lambda: len(effects.effects) >= len(keys))
            for each in both_of_them
        )
    )
    assert max(longest) < SOON
    async with both(settings_of(own_broker)) as (_, control):
        await eventually(all_settled(control, unique), what="every verdict")
    assert Counter(effects.effects) == dict.fromkeys(keys, 1)


async def test_a_call_that_keeps_the_loop_is_named_in_the_log_counted_and_told_the_doctor(
    child: MakeChild, own_broker: Broker, unique: str
) -> None:
    first = await starting(child, own_broker, 0.15)
    keys = await waiting(own_broker, unique, 8)
    await eventually(lambda: len(first.effects) == len(keys), what="all of them")
    await eventually(lambda: "the handler keeps the event loop" in first.logged)
    assert "threads=4" in first.stderr
    assert first.logged.count("the handler keeps the event loop") == 1
    _, metrics = await first.get("/metrics")
    (line,) = [line for line in metrics.splitlines() if line.startswith("jetmesh_slow_total{")]
    assert float(line.rpartition(" ")[2]) == len(keys)

    session = Session(settings_of(own_broker), "doctor")
    await session.connect(patient=False)
    (instance,) = await instances(session, [f"{unique}-service"])
    await session.close()
    assert [each.data.slow for each in instance.endpoints or ()] == [len(keys)]


async def test_threads_run_calls_side_by_side_and_keep_the_loop_free(
    child: MakeChild, own_broker: Broker, unique: str
) -> None:
    first = await starting(child, own_broker, 0.5, threads=4)
    keys = await waiting(own_broker, unique, 24)
    began = monotonic()
    longest = await answering(first, "/healthz", lambda: len(first.effects) >= len(keys))
    assert monotonic() - began < 24 * 0.5 / 2
    assert longest < 0.5
    async with both(settings_of(own_broker)) as (_, control):
        await eventually(all_settled(control, unique), what="every verdict")
    assert Counter(first.effects) == dict.fromkeys(keys, 1)
    assert "the handler keeps the event loop" not in first.logged


async def test_a_call_in_a_thread_keeps_its_delivery_longer_than_ack_wait(
    child: MakeChild, own_broker: Broker, unique: str
) -> None:
    first = await starting(child, own_broker, 3, threads=1)
    await waiting(own_broker, unique, 1)
    async with both(settings_of(own_broker)) as (_, control):
        await eventually(lambda: first.effects, what="the call")
        await eventually(all_settled(control, unique), what="its verdict")
    assert first.effects == ["p-0"]


async def test_a_call_in_a_thread_that_does_not_return_keeps_no_process(
    child: MakeChild, own_broker: Broker, unique: str
) -> None:
    first = child(own_broker.url, script="slow")
    first.start(CHILD_SECONDS="60", CHILD_THREADS="2", JETMESH__GRACE="200ms")
    await first.ready()
    await waiting(own_broker, unique, 3)
    await eventually(lambda: len(first.effects) == 2, what="two calls")
    first.process.terminate()
    assert await first.ended() == 0
    assert "given back unfinished" in first.logged
    second = child(own_broker.url, script="slow").start(CHILD_SECONDS="0")
    await eventually(lambda: len(set(second.effects)) == 3, what="all of them again")
