"""Handlers at work on a real broker: bounded, timed, and ended by a verdict whatever they do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from msgspec import Meta, Struct
from structlog.testing import capture_logs

from jetmesh import Delivery, Policy, Retry, Service, event
from jetmesh.declare import Duration
from jetmesh.errors import BrokerError
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.one_handler import letters

Work = Callable[[str, Delivery], Awaitable[None]]


@asynccontextmanager
async def working(
    broker: Broker, domain: str, work: Work, **policy: Any
) -> AsyncIterator[tuple[Mesh, Consumer, Any]]:
    """A mesh with one `async def` handler that does `work`, its consumer and its event."""

    @event(f"{domain}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    @event(f"{domain}.done", key="order_id", decision=f"{domain}.*")
    class Done(Struct, frozen=True):
        order_id: str

    service = Service(f"{domain}-service")
    settings = {"attempts": 3, "backoff": Duration(0.02), **policy}

    @service.on(Placed, policy=Policy(**settings))
    async def do(placed: Placed, delivery: Delivery) -> Done:
        await work(placed.order_id, delivery)
        return Done(placed.order_id)

    async with mesh(service, url=broker.url) as m:
        yield m, m.running[service.name].consumers[0], Placed


async def test_no_more_deliveries_run_at_once_than_declared(broker: Broker, unique: str) -> None:
    running: set[str] = set()
    busiest = 0
    go = asyncio.Event()

    async def work(key: str, _: Delivery) -> None:
        nonlocal busiest
        running.add(key)
        busiest = max(busiest, len(running))
        await go.wait()
        running.discard(key)

    async with working(broker, unique, work, concurrency=2) as (m, consumer, placed):
        for n in range(6):
            await m.publish(placed(f"p-{n}"))
        handler = consumer.handler
        subject = f"CONSUMER.INFO.{handler.input.stream}.{handler.durable}"

        async def two_are_out() -> bool:
            info = await m.control.api(subject)
            return bool(info["num_ack_pending"] == 2 and info["num_pending"] == 4)

        await eventually(two_are_out, what="two deliveries out and four waiting")
        go.set()
        await m.settled()
        assert busiest == 2
        assert consumer.stats.acked == 6


async def test_every_way_a_handler_can_fail_ends_in_a_verdict(broker: Broker, unique: str) -> None:
    """A time-out, a cancellation from inside, an exit and a wrong delay are tried again."""
    cancelled: list[str] = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("told")
            raise

    async def cancel_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async def raising(error: BaseException) -> None:
        raise error

    fails: dict[str, Callable[[], Awaitable[None]]] = {
        "times-out": wait_for_ever,
        "cancels-itself": cancel_itself,
        "exits": lambda: raising(SystemExit(3)),
        "cannot-be-shown": lambda: raising(RudeError()),
        "never-again": lambda: raising(Retry("later", after=float("inf"))),
        "not-a-number": lambda: raising(Retry("later", after=float("nan"))),
        "fails": lambda: raising(LookupError()),
    }

    async def work(key: str, delivery: Delivery) -> None:
        if delivery.attempt == 1:
            await fails[key]()

    async with working(broker, unique, work, timeout=Duration(0.2)) as (m, consumer, placed):
        for key in fails:
            await m.publish(placed(key))
        await eventually(lambda: consumer.stats.acked == len(fails), what="every verdict")
        await m.settled()
        assert cancelled == ["told"]
        assert consumer.stats.retried == consumer.stats.failed == len(fails)
        assert len(await m.stored(unique.upper())) == len(fails)
        assert await letters(m, unique) == []
        assert m.running[f"{unique}-service"]._plane.reconnects == 0


class RudeError(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError


async def test_a_time_out_says_after_how_long(broker: Broker, unique: str) -> None:
    async def work(_: str, __: Delivery) -> None:
        await asyncio.Event().wait()

    limits = {"timeout": Duration(0.1), "attempts": 1}
    async with working(broker, unique, work, **limits) as (m, _, placed):
        await m.publish(placed("p-1"))
        await m.settled()
        (letter,) = await letters(m, unique)
        assert letter.headers["Jetmesh-Error"] == "TimeoutError"
        assert letter.headers["Jetmesh-Message"] == "not done within 100ms"


async def test_a_broker_that_cannot_be_asked_costs_no_message_its_life(
    broker: Broker, unique: str
) -> None:
    """The look before an effect fails more often than there are attempts."""
    runs: list[str] = []

    async def work(key: str, _: Delivery) -> None:
        runs.append(key)

    async with working(broker, unique, work, attempts=1) as (m, consumer, placed):
        asked, look_up = 0, consumer.runner.decisions._look_up

        async def failing(stream: str, subject: str) -> Any:
            nonlocal asked
            asked += 1
            if asked < 4:
                raise BrokerError("no answer")
            return await look_up(stream, subject)

        consumer.runner.decisions._look_up = failing
        await m.publish(placed("p-1"))
        await eventually(lambda: consumer.stats.acked == 1, what="the ack")
        assert runs == ["p-1"]
        assert await letters(m, unique) == []


async def test_who_cannot_see_what_is_decided_is_not_ready_and_goes_on_when_it_can(
    broker: Broker, unique: str
) -> None:
    runs: list[str] = []

    async def work(key: str, _: Delivery) -> None:
        runs.append(key)

    async with working(broker, unique, work) as (m, consumer, placed):
        (running,) = m.running.values()
        stream = consumer.handler.outputs[0].stream
        config = (await m.control.api(f"STREAM.INFO.{stream}"))["config"]
        await m.control.api(f"STREAM.DELETE.{stream}")
        await m.publish(placed("p-1"))

        def says_why() -> bool:
            return any("cannot look up outcomes" in each for each in running.health.problems())

        await eventually(says_why, what="red")
        assert runs == [], "nothing is done without knowing"
        await m.control.api(f"STREAM.CREATE.{stream}", config)
        await eventually(lambda: not running.health.problems(), what="ready")
        assert runs == ["p-1"]


async def test_a_long_handler_keeps_its_delivery_and_is_not_run_twice(
    broker: Broker, unique: str
) -> None:
    """The server is told that it still works, so that it counts ack_wait anew."""
    runs: list[str] = []
    prolonged: list[bytes] = []
    enough = asyncio.Event()

    async def work(key: str, _: Delivery) -> None:
        runs.append(key)
        await enough.wait()

    limits = {"timeout": Duration(10), "ack_wait": Duration(10)}
    async with working(broker, unique, work, **limits) as (m, consumer, placed):
        plane = m.running[f"{unique}-service"]._plane
        progress = plane.progress

        def counted(reply: bytes) -> None:
            prolonged.append(reply)
            progress(reply)
            if len(prolonged) == 20:  # two ack_waits later
                enough.set()

        plane.progress = counted  # type: ignore[method-assign] # to count what is sent
        handler = consumer.handler
        subject = f"CONSUMER.INFO.{handler.input.stream}.{handler.durable}"
        info = await m.control.api(subject)
        # the server waits for one second only, as if the declaration said so
        body = {**info["config"], "ack_wait": 1_000_000_000}
        create = f"CONSUMER.CREATE.{handler.input.stream}.{handler.durable}"
        await m.control.api(
            create, {"stream_name": handler.input.stream, "config": body, "action": "update"}
        )
        await m.publish(placed("p-1"))
        beat = asyncio.create_task(_beat(consumer))
        await eventually(lambda: consumer.stats.acked == 1, what="the ack")
        beat.cancel()
        assert runs == ["p-1"]
        assert consumer.stats.delivered == 1


async def _beat(consumer: Consumer) -> None:
    """What the service's clock does for a handler with an ack_wait of a second."""
    while True:
        await asyncio.sleep(0.1)
        consumer.keep_alive(float("inf"))


async def test_a_logger_of_a_delivery_is_bound_and_hides_the_event(
    broker: Broker, unique: str
) -> None:
    @event(f"{unique}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str
        token: Annotated[str, Meta(extra={"sensitive": True})]

    service = Service(f"{unique}-service")

    @service.on(Placed)
    def tell(placed: Placed, delivery: Delivery) -> None:
        delivery.log.info("charging", token=placed.token)

    async with mesh(service, url=broker.url) as m:
        with capture_logs() as lines:
            await m.publish(Placed("p-1", "tok_secret"))
            await m.settled()
    (line,) = [line for line in lines if line["event"] == "charging"]
    assert line["key"] == "p-1"
    assert line["cause"] == f"{unique.upper()}_IN:1"
    assert line["attempt"] == 1
    assert repr(line["about"]) == "•••"  # what the processors of a process mask the line with


async def test_before_an_effect_every_decision_of_its_handler_is_looked_at(
    broker: Broker, unique: str
) -> None:
    @event(f"{unique}-in.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    @event(f"{unique}-a.done", key="order_id", decision=f"{unique}-a.*")
    class First(Struct, frozen=True):
        order_id: str

    @event(f"{unique}-b.done", key="order_id", decision=f"{unique}-b.*")
    class Second(Struct, frozen=True):
        order_id: str

    runs: list[str] = []
    service = Service(f"{unique}-service")

    @service.on(Placed)
    async def do(placed: Placed) -> tuple[First, Second]:
        runs.append(placed.order_id)
        return First(placed.order_id), Second(placed.order_id)

    async with mesh(service, url=broker.url) as m:
        await m.publish(Second("taken"))
        await m.publish(Placed("taken"))
        await m.publish(Placed("free"))
        await m.settled()
        assert runs == ["free"]
        assert (
            await m.stored(f"{unique}-a".upper().replace("-", "_"), f"{unique}-a.done.taken") == []
        )
