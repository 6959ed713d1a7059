"""What users' tests import, tested without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Struct, ValidationError

from jetmesh import ContractViolation, Delivery, Reject, Service, event
from jetmesh.errors import UsageError
from jetmesh.protocol.times import nanoseconds_of
from jetmesh.runtime.message.returned import ConflictingOutputs, UndeclaredOutput
from jetmesh.testing import aoutputs, delivery, eventually, outputs, subject_of

NOON_NS = nanoseconds_of("2026-01-01T12:00:00Z")


@event("testing-in.placed", key="order_id")
class Placed(Struct, frozen=True):
    order_id: str
    amount: int = 0


@event("testing.accepted", key="order_id", decision="testing.*")
class Accepted(Struct, frozen=True):
    order_id: str
    limit: int = 0


@event("testing-log.noted", key="order_id")
class Noted(Struct, frozen=True):
    order_id: str
    text: str


@event("testing-log.ticked")
class Ticked(Struct, frozen=True):
    number: int


class Limits(Struct, frozen=True):
    limit: int = 10


@dataclass
class Gateway:
    answer: str


service = Service("testing-service", settings=Limits)


@service.resource
async def gateway() -> AsyncIterator[Gateway]:
    yield Gateway("real")


@service.on(Placed)
def decide(
    placed: Placed, delivery: Delivery, limits: Limits
) -> list[Accepted | Noted | Ticked] | None:
    if placed.amount > limits.limit:
        raise Reject("too much")
    if placed.amount < 0:
        return None
    note = Noted(placed.order_id, f"{delivery.cause} attempt {delivery.attempt}")
    return [note, Accepted(placed.order_id, limits.limit)]


@service.on(Placed)
async def ask(placed: Placed, gateway: Gateway) -> Noted:
    await asyncio.sleep(0)
    return Noted(placed.order_id, gateway.answer)


@service.on(Placed)
def lies(placed: Placed) -> list[Accepted | Ticked]:
    wrong: Any = {
        1: [Placed("p")],
        2: [Accepted("p"), Accepted("p")],
        3: [Accepted("")],
        4: [Ticked("x")],  # type: ignore[arg-type] # the mistake under test
    }[placed.amount]
    result: list[Accepted | Ticked] = wrong
    return result


def test_outputs_are_what_the_mesh_would_publish_decisions_first() -> None:
    assert outputs(service, decide, Placed("p-1", 3)) == [
        Accepted("p-1", 10),
        Noted("p-1", f"TESTING_IN:1-{NOON_NS} attempt 1"),
    ]


def test_a_handler_that_returns_nothing_has_no_outputs() -> None:
    assert outputs(service, decide, Placed("p-1", -1)) == []


def test_settings_and_delivery_can_be_given_by_name() -> None:
    second = delivery(Placed("p-1"), attempt=2, sequence=9)
    made = outputs(service, decide, Placed("p-1", 3), limits=Limits(5), delivery=second)
    assert made == [Accepted("p-1", 5), Noted("p-1", f"TESTING_IN:9-{NOON_NS} attempt 2")]


def test_what_a_handler_raises_reaches_the_test() -> None:
    with pytest.raises(Reject, match="too much"):
        outputs(service, decide, Placed("p-1", 99))


async def test_an_async_handler_is_awaited_with_its_resource() -> None:
    assert await aoutputs(service, ask, Placed("p-1"), gateway=Gateway("fake")) == [
        Noted("p-1", "fake")
    ]


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        (1, UndeclaredOutput),
        (2, ConflictingOutputs),
        (3, ContractViolation),
        (4, ValidationError),
    ],
)
def test_an_output_that_the_mesh_would_refuse_fails_the_test(
    amount: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        outputs(service, lies, Placed("p-1", amount))


def test_an_input_that_does_not_keep_its_contract_fails_the_test() -> None:
    with pytest.raises(ValidationError):
        outputs(service, decide, Placed("p-1", "three"))  # type: ignore[arg-type] # the mistake under test
    with pytest.raises(ContractViolation):
        outputs(service, decide, Placed(""))


async def test_the_wrong_kind_of_call_says_which_is_right() -> None:
    with pytest.raises(UsageError, match="aoutputs"):
        outputs(service, ask, Placed("p-1"), gateway=Gateway("fake"))
    with pytest.raises(UsageError, match=r"outputs\("):
        await aoutputs(service, decide, Placed("p-1"))


async def test_a_missing_or_unknown_argument_is_named() -> None:
    with pytest.raises(UsageError, match="gateway"):
        await aoutputs(service, ask, Placed("p-1"))
    with pytest.raises(UsageError, match="colour"):
        outputs(service, decide, Placed("p-1"), colour="red")


def test_a_function_that_is_no_handler_is_named() -> None:
    with pytest.raises(UsageError, match="is not a handler of testing-service"):
        outputs(service, print, Placed("p-1"))


def test_settings_without_defaults_must_be_given() -> None:
    class Strict(Struct, frozen=True):
        limit: int

    strict = Service("strict-service", settings=Strict)

    @strict.on(Placed)
    def decide(placed: Placed, limits: Strict) -> Accepted:
        return Accepted(placed.order_id, limits.limit)

    with pytest.raises(UsageError, match="limits=Strict"):
        outputs(strict, decide, Placed("p-1"))
    assert outputs(strict, decide, Placed("p-1"), limits=Strict(3)) == [Accepted("p-1", 3)]


def test_a_delivery_is_made_as_the_mesh_makes_it() -> None:
    made = delivery(Placed("p-1"), attempt=3, sequence=7)
    assert (made.attempt, made.key, made.cause) == (3, "p-1", f"TESTING_IN:7-{NOON_NS}")
    assert made.correlation == "p-1"
    assert made.stored_at == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert made.deadline > made.stored_at


def test_a_delivery_of_what_is_no_event_says_so() -> None:
    with pytest.raises(UsageError, match="Limits is not an event"):
        delivery(Limits())
    with pytest.raises(UsageError, match="Limits is not an event"):
        subject_of(Limits())


def test_an_event_is_published_on_its_escaped_subject() -> None:
    assert subject_of(Placed("p 1")) == "testing-in.placed.p%201"
    assert subject_of(Ticked(1)) == "testing-log.ticked"


async def test_eventually_returns_what_became_true() -> None:
    answers = iter([None, 0, "", "there"])
    assert await eventually(lambda: next(answers)) == "there"


async def test_eventually_awaits_a_condition_that_is_a_coroutine() -> None:
    answers = iter([False, True])

    async def condition() -> bool:
        await asyncio.sleep(0)
        return next(answers)

    assert await eventually(condition)


async def test_eventually_gives_up_and_says_on_what() -> None:
    with pytest.raises(AssertionError, match=r"a mail did not come true within 0\.05 s"):
        await eventually(lambda: False, within=0.05, what="a mail")


async def test_eventually_gives_up_on_a_condition_that_never_answers() -> None:
    with pytest.raises(AssertionError, match="did not come true"):
        await eventually(asyncio.Event().wait, within=0.05)


async def test_an_error_of_the_condition_is_the_tests() -> None:
    async def condition() -> bool:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await eventually(condition)
