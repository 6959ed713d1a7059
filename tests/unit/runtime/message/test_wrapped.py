"""What wraps a handler runs around it, and nothing of it is there when nothing does."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import AsyncCall, Call, Delivery, Duration, Policy, Reject, Service
from jetmesh.declare import Handler
from jetmesh.runtime.message import consumer
from jetmesh.testing import aoutputs, outputs
from tests.unit.runtime.message.deciding import ended
from tests.unit.runtime.message.desk import Accepted, Desk, Noted, Placed
from tests.unit.runtime.message.wire import Ack, Nak

user: ContextVar[str] = ContextVar("user", default="nobody")


class Steps(list[str]):
    """What happened, in order, and functions that say so."""

    def around(self, name: str) -> Any:
        def wrap(call: Call, event: Struct, delivery: Delivery) -> Any:
            self.append(f"{name} before {delivery.handler} {delivery.key}")
            try:
                return call()
            finally:
                self.append(f"{name} after")

        return wrap

    def around_async(self, name: str) -> Any:
        async def wrap(call: AsyncCall, event: Struct, delivery: Delivery) -> Any:
            self.append(f"{name} before {delivery.handler} {delivery.key}")
            try:
                return await call()
            finally:
                self.append(f"{name} after")

        return wrap


AROUND = [
    "outer before desk.look k-1",
    "inner before desk.look k-1",
    "handler",
    "inner after",
    "outer after",
]


def def_handler(steps: Steps, *wraps: Any) -> Handler:
    service = Service("desk", wrap=wraps)

    @service.on(Placed)
    def look(placed: Placed) -> Accepted:
        steps.append("handler")
        return Accepted(placed.order_id, by=user.get())

    return service.handlers[0]


def async_handler(steps: Steps, *wraps: Any, **policy: Any) -> Handler:
    service = Service("desk", wrap=wraps)

    @service.on(Placed, policy=Policy(**policy))
    async def look(placed: Placed) -> Accepted:
        await asyncio.sleep(0)
        steps.append("handler")
        return Accepted(placed.order_id, by=user.get())

    return service.handlers[0]


async def test_a_def_handler_runs_within_its_wraps_the_first_one_outermost() -> None:
    steps = Steps()
    desk = Desk(def_handler(steps, steps.around("outer"), steps.around("inner")))
    desk.deliver()
    assert steps == AROUND
    assert [each.subject for each in desk.wire.published] == ["desk.accepted.k-1"]


async def test_an_async_def_handler_runs_within_its_wraps_while_it_waits() -> None:
    steps = Steps()
    desk = Desk(async_handler(steps, steps.around_async("outer"), steps.around_async("inner")))
    desk.deliver()
    await ended(desk)
    assert steps == AROUND
    assert [each.subject for each in desk.wire.published] == ["desk.accepted.k-1"]


async def test_a_wrap_gives_the_handler_a_context_that_ends_with_it() -> None:
    async def authenticated(call: AsyncCall, event: Struct, delivery: Delivery) -> Any:
        token = user.set(f"customer of {delivery.key}")
        try:
            return await call()
        finally:
            user.reset(token)

    desk = Desk(async_handler(Steps(), authenticated))
    desk.deliver()
    await ended(desk)
    assert b"customer of k-1" in desk.wire.published[0].payload
    assert user.get() == "nobody"


async def test_a_wrap_that_does_not_call_decides_what_the_handler_returned() -> None:
    steps = Steps()
    desk = Desk(def_handler(steps, lambda _call, _event, _delivery: None))
    reply = desk.deliver()
    assert steps == []
    assert desk.wire.sent == [Ack(reply)]


async def test_a_wrap_sees_what_the_handler_returns_and_what_it_returns_itself_is_checked() -> None:
    seen: list[Any] = []

    def looking(call: Call, event: Struct, delivery: Delivery) -> Any:
        seen.append(call())
        return Noted("undeclared")

    desk = Desk(def_handler(Steps(), looking))
    desk.deliver()
    assert seen == [Accepted("k-1", by="nobody")]
    (letter,) = desk.wire.published
    assert letter.headers["Jetmesh-Error"] == "UndeclaredOutput"


@pytest.mark.parametrize("kind", [def_handler, async_handler])
async def test_what_a_wrap_raises_is_a_failed_attempt_of_its_handler(kind: Any) -> None:
    def refuse(call: Call, event: Struct, delivery: Delivery) -> Any:
        raise ConnectionError("away")

    async def arefuse(call: AsyncCall, event: Struct, delivery: Delivery) -> Any:
        raise ConnectionError("away")

    steps = Steps()
    desk = Desk(kind(steps, refuse if kind is def_handler else arefuse))
    desk.deliver()
    await ended(desk)
    (verdict,) = desk.wire.verdicts
    assert isinstance(verdict, Nak)
    assert (steps, desk.stats.last_error) == ([], "ConnectionError: away")


async def test_the_time_of_an_attempt_is_the_time_of_its_wraps_too() -> None:
    async def stand_still(call: AsyncCall, event: Struct, delivery: Delivery) -> Any:
        await asyncio.sleep(60)

    handler = async_handler(Steps(), stand_still)
    desk = Desk(handler, policy=Policy(timeout=Duration(0.01)))
    desk.deliver()
    await ended(desk)
    assert desk.stats.last_error == "TimeoutError: not done within 10ms"


async def test_what_is_not_wrapped_makes_no_delivery_and_no_call_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fast path is the one without wraps: the handler's own function, with its event."""

    def never(*_: object) -> None:
        raise AssertionError("made an object for a message that needs none")

    desk = Desk(lambda_that_returns_nothing())
    monkeypatch.setattr(consumer, "Delivered", never)
    monkeypatch.setattr(desk.consumer.runner, "call", never)
    reply = desk.deliver()
    assert desk.wire.sent == [Ack(reply)]


def lambda_that_returns_nothing() -> Handler:
    service = Service("desk")

    @service.on(Placed)
    def look(placed: Placed) -> None: ...

    return service.handlers[0]


async def test_the_test_helpers_run_what_wraps_a_handler() -> None:
    steps = Steps()
    service = Service("desk", wrap=[steps.around("a"), steps.around_async("b")])

    @service.on(Placed)
    def look(placed: Placed) -> Accepted:
        return Accepted(placed.order_id)

    @service.on(Placed)
    async def alook(placed: Placed, delivery: Delivery) -> Accepted:
        raise Reject("never")

    assert outputs(service, look, Placed("k-1")) == [Accepted("k-1")]
    with pytest.raises(Reject):
        await aoutputs(service, alook, Placed("k-1"))
    assert steps == [
        "a before desk.look k-1",
        "a after",
        "b before desk.alook k-1",
        "b after",
    ]
