"""What a handler may raise, return or be given: each ends in a verdict, or nothing is hidden."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import pytest

from jetmesh import Policy, wire
from jetmesh.testing import eventually
from tests.unit.runtime.message.desk import Accepted, Desk, Noted, Placed, origin
from tests.unit.runtime.message.wire import Ack, Published, Term

ONCE = Policy(attempts=1)


def raising(error: BaseException) -> Callable[..., None]:
    def look(placed: Placed) -> None:
        raise error

    return look


def effect_raising(error: BaseException) -> Callable[..., Coroutine[Any, Any, None]]:
    async def look(placed: Placed) -> None:
        raise error

    return look


async def letter_of(desk: Desk) -> Published:
    """The dead letter that is the only thing sent so far."""
    await eventually(lambda: desk.wire.published)
    (letter,) = desk.wire.published
    assert desk.wire.sent == [letter]
    return letter


@pytest.mark.parametrize("made", [raising, effect_raising])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("broken"),
        SystemExit(3),
        StopAsyncIteration(),
        KeyboardInterrupt(),  # a real one never is raised: signals have their own handlers
        GeneratorExit(),
        type("Own", (BaseException,), {})(),
        BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError("broken")]),
        asyncio.CancelledError(),
    ],
)
async def test_what_a_handler_raises_is_dead_lettered_before_its_input_is_terminated(
    made: Callable[[BaseException], Callable[..., Any]], error: BaseException
) -> None:
    desk = Desk(made(error), policy=ONCE)
    reply = desk.deliver(Placed("k-1"))
    letter = await letter_of(desk)
    assert letter.subject == "deadletters.desk.look.k-1"
    assert letter.headers["Jetmesh-Error"] == type(error).__name__
    assert letter.payload == b'{"order_id":"k-1","note":""}'
    assert desk.source.unsettled == 1
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]
    assert (desk.source.unsettled, desk.in_flight) == (0, 0)
    assert (desk.stats.failed, desk.stats.dead, desk.stats.acked) == (1, 1, 0)


async def test_an_effect_that_cancels_its_own_task_has_failed() -> None:
    async def look(placed: Placed) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    desk = Desk(look, policy=ONCE)
    reply = desk.deliver()
    letter = await letter_of(desk)
    assert letter.headers["Jetmesh-Error"] == "CancelledError"
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    ("payload", "where"),
    [
        (b"no json", "field $"),
        (b"", "a payload that seems to be empty"),
        (b"\xff\xff", "field $"),
        (b"[" * 100_000, "field $"),
        (b'{"order_id":5}', "field $.order_id"),
        (b'{"note":"n"}', "field $.order_id"),
    ],
)
async def test_what_cannot_be_decoded_is_dead_lettered_as_it_came(
    payload: bytes, where: str, number: int
) -> None:
    desk = Desk(raising(AssertionError("it ran")))
    reply = desk.deliver(payload, number=number)
    letter = await letter_of(desk)
    assert letter.headers["Jetmesh-Error"] == "ContractViolation"
    assert letter.headers["Jetmesh-Where"] == where
    assert letter.payload == payload
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]


async def test_what_an_effect_cannot_decode_is_dead_lettered_as_it_came() -> None:
    desk = Desk(effect_raising(AssertionError("it ran")))
    desk.deliver(b"no json")
    letter = await letter_of(desk)
    assert letter.headers["Jetmesh-Error"] == "ContractViolation"
    assert letter.subject == "deadletters.desk.look._"
    assert desk.streams.asked == []


@pytest.mark.parametrize("made", [raising, effect_raising])
@pytest.mark.parametrize("key", ["", "k" * 201])
async def test_a_key_that_cannot_be_one_is_refused_before_its_handler_runs(
    made: Callable[[BaseException], Callable[..., Any]], key: str
) -> None:
    desk = Desk(made(AssertionError("it ran")))
    desk.deliver(b'{"order_id":"%b"}' % key.encode())
    letter = await letter_of(desk)
    assert letter.headers["Jetmesh-Error"] == "ContractViolation"
    assert letter.subject == "deadletters.desk.look._"


async def _forgotten() -> None:
    """Wait for nobody."""


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (lambda: Accepted("k-1"), "UndeclaredOutput"),
        (lambda: 5, "UndeclaredOutput"),
        (_forgotten, "UndeclaredOutput"),
        (lambda: [Noted("a"), 5], "UndeclaredOutput"),
        (lambda: [Noted("a"), Noted("a")], "ConflictingOutputs"),
        (lambda: Noted(""), "ContractViolation"),
        (lambda: [Noted("a"), Noted("")], "ContractViolation"),
    ],
)
async def test_a_result_that_cannot_be_published_is_dead_lettered_and_nothing_of_it_sent(
    result: Callable[[], Any], error: str
) -> None:
    def look(placed: Placed) -> Iterable[Noted]:
        made: Iterable[Noted] = result()
        return made

    async def look_too(placed: Placed) -> Iterable[Noted]:
        return look(placed)

    for handler in (look, look_too):
        desk = Desk(handler)
        reply = desk.deliver()
        letter = await letter_of(desk)
        assert letter.headers["Jetmesh-Error"] == error
        letter.stored()
        assert desk.wire.verdicts == [Term(reply, "dead-lettered")]


@pytest.mark.parametrize("result", [None, [], (), [None]])
async def test_nothing_in_any_form_is_acked(result: Any) -> None:
    def look(placed: Placed) -> Iterable[Noted]:
        made: Iterable[Noted] = result
        return made

    desk = Desk(look)
    reply = desk.deliver()
    assert desk.wire.sent == [Ack(reply)]
    assert desk.source.unsettled == 0


def test_a_generator_that_breaks_off_publishes_nothing() -> None:
    def look(placed: Placed) -> Iterable[Noted]:
        yield Noted("a")
        raise LookupError("the second one")

    desk = Desk(look, policy=ONCE)
    desk.deliver()
    (letter,) = desk.wire.published
    assert letter.headers["Jetmesh-Error"] == "LookupError"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("two\r\nlines: and a header"),
        ValueError("\ud800 no text"),
        ValueError("n" * 100_000),
        ValueError(b"\x00"),
        type("Broken", (Exception,), {"__str__": lambda _: 1 / 0})(),
    ],
)
def test_whatever_an_error_says_its_letter_can_be_written(error: Exception) -> None:
    desk = Desk(raising(error), policy=ONCE)
    reply = desk.deliver()
    (letter,) = desk.wire.published
    assert letter.headers["Jetmesh-Error"] == type(error).__name__
    assert len(letter.headers["Jetmesh-Message"]) <= 500
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"Jetmesh-Sequence": "17"},
        {"Jetmesh-Sequence": "seventeen"},
        {"Jetmesh-Stream": "ELSEWHERE"},
        {"Jetmesh-Stored-At": "yesterday"},
        {"Jetmesh-Attempts": "some"},
    ],
)
def test_what_was_typed_on_the_lane_by_hand_is_dead_lettered_without_a_run(
    told: dict[str, str],
) -> None:
    whole = {
        "Jetmesh-Subject": "desk-in.placed.k-1",
        "Jetmesh-Stream": "DESK_IN",
        "Jetmesh-Sequence": "17",
        "Jetmesh-Stored-At": "2026-01-01T12:00:00+00:00",
    }
    desk = Desk(raising(AssertionError("it ran")))
    if told == {"Jetmesh-Sequence": "17"}:
        del whole["Jetmesh-Subject"]
    reply = desk.deliver_on_lane(sequence=5, headers={**whole, **told} if told else {})
    (letter,) = desk.wire.published
    assert letter.headers["Jetmesh-Error"] == "Reject"
    assert letter.headers["Jetmesh-Stream"] == "LANES_desk"
    assert letter.headers["Jetmesh-Sequence"] == "5"
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]
    assert desk.lane.unsettled == 0


@pytest.mark.parametrize(
    "subject", [b"desk-in.\rplaced", b"desk-in.a b", b"desk-in.*", b"desk-in.>"]
)
def test_a_subject_that_is_none_on_the_lane_ends_as_typed_by_hand(subject: bytes) -> None:
    block = wire.block(origin(17).headers()).replace(b"desk-in.placed.k-1", subject)
    desk = Desk(raising(AssertionError("it ran")))
    reply = desk.lane.reply(5)
    desk.lane.deliver("lanes.desk.look.k-1", reply, b"no json", block)
    (letter,) = desk.wire.published
    assert letter.subject == "deadletters.desk.look._"
    assert letter.headers["Jetmesh-Subject"] == "lanes.desk.look.k-1"
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]
