"""Whatever an error is, does or hides when it is looked at: its delivery ends in a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jetmesh import Policy, Reject, Retry, Unavailable
from jetmesh.errors import ContractViolation, Verdict
from jetmesh.runtime.message import verdicts
from jetmesh.testing import eventually
from jetmesh.transport.stored import StoredMessage
from tests.unit.runtime.message.deciding import GUARD, Effect
from tests.unit.runtime.message.desk import Accepted, Desk, Placed, all_that_can_run, origin
from tests.unit.runtime.message.wire import Nak, Published, Term

ONCE = Policy(attempts=1)


def raising(self: Any, *_: Any) -> Any:
    raise ZeroDivisionError


def forgetting(self: Any, *_: Any) -> None:
    """Forget to call the base's."""


def interrupting(self: Any, *_: Any) -> Any:
    raise KeyboardInterrupt


def error_of(name: str = "Broken", base: type[BaseException] = Exception, **members: Any) -> Any:
    return type(name, (base,), members)("said")


class Nameless(type):
    """A class that does not tell its name."""

    __name__ = property(raising)


class Cut(Exception):  # noqa: N818 - a fault on purpose
    """Its end is told by a property, too."""

    __traceback__ = property(raising)


ERRORS: dict[str, Callable[[], BaseException]] = {
    "a name with line ends": lambda: error_of("Broken\r\nNats-Msg-Id: x\r\n\r\nPUB a 0"),
    "a name with an escape sequence": lambda: error_of("\x1b[31mBroken"),
    "a huge name": lambda: error_of("B" * 100_000),
    "an odd name": lambda: error_of("Ünlesbar\u202e\u2028"),
    "a text that raises": lambda: error_of(__str__=raising),
    "a text that interrupts": lambda: error_of(__str__=interrupting),
    "a text that is none": lambda: error_of(__str__=lambda _: 5),
    "a text with surrogates": lambda: ValueError("\udcff \ud800"),
    "a huge text": lambda: ValueError("x" * 10_000_000),
    "a traceback that raises": lambda: Cut("said"),
    "a class that does not tell its name": lambda: Nameless("Hidden", (Exception,), {})("said"),
    "a class that is said to be another": lambda: error_of(__class__=property(raising)),
    "a module that is no text": lambda: error_of(__module__=5),
    "a group": lambda: ExceptionGroup("several", [ValueError("a"), Reject("b")]),
    "a group of groups": lambda: BaseExceptionGroup("g", [BaseExceptionGroup("h", [SystemExit()])]),
    "a timeout that hides its trace": lambda: error_of(
        base=TimeoutError, __traceback__=property(raising), __str__=lambda _: ""
    ),
    "a retry whose delay raises": lambda: error_of(
        base=Retry, __init__=forgetting, after=property(raising)
    ),
    "a retry that does not know whether it counts": lambda: error_of(
        base=Retry, __init__=forgetting, counts=property(raising)
    ),
    "a violation without a path": lambda: error_of(
        base=ContractViolation, __init__=forgetting, path=property(raising)
    ),
}


def _raise(error: BaseException) -> Callable[..., Any]:
    def look(placed: Placed) -> None:
        raise error

    return look


def _raise_async(error: BaseException) -> Callable[..., Any]:
    async def look(placed: Placed) -> None:
        raise error

    return look


async def only_letter(desk: Desk) -> Published:
    await eventually(lambda: desk.wire.sent)
    (letter,) = desk.wire.published
    return letter


@pytest.mark.parametrize("made", [_raise, _raise_async])
@pytest.mark.parametrize("fault", ERRORS)
async def test_it_ends_in_a_letter_with_what_can_be_written(
    fault: str, made: Callable[[BaseException], Callable[..., Any]]
) -> None:
    desk = Desk(made(ERRORS[fault]()), policy=ONCE)
    reply = desk.deliver()
    letter = await only_letter(desk)
    assert letter.subject == "deadletters.desk.look.k-1"
    assert letter.payload == b'{"order_id":"k-1","note":""}'
    for name in ("Jetmesh-Error", "Jetmesh-Message", "Jetmesh-Where", "Jetmesh-Fingerprint"):
        assert letter.headers[name].isprintable()
        assert len(letter.headers[name]) <= 500
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]
    assert (desk.in_flight, desk.source.unsettled) == (0, 0)
    assert desk.stats.dead == 1


async def test_a_name_is_told_as_far_as_it_can_be() -> None:
    desk = Desk(_raise(error_of("Broken\r\nName")), policy=ONCE)
    desk.deliver()
    letter = await only_letter(desk)
    assert letter.headers["Jetmesh-Error"] == r"Broken\r\nName"
    assert desk.stats.last_error == r"Broken\r\nName: said"


def test_a_name_that_no_header_can_carry_waits_on_the_lane_too() -> None:
    desk = Desk(_raise(error_of("Broken\r\nName")))
    desk.deliver_on_lane(origin=origin())
    (retry,) = desk.wire.published
    assert retry.headers["Jetmesh-Error"] == r"Broken\r\nName"


def test_an_origin_that_no_header_can_carry_ends_in_a_letter() -> None:
    told = {
        "Jetmesh-Subject": "desk-in.placed.k-1",
        "Jetmesh-Stream": "DESK_IN",
        "Jetmesh-Sequence": "17",
        "Jetmesh-Stored-At": "2026-01-01T12:00:00+00:00",
    }
    desk = Desk(_raise(ValueError("broken")), policy=ONCE)
    block = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    block = block.replace("placed.k-1", "placed\n.k-1")
    reply = desk.lane.reply(5)
    desk.lane.deliver("lanes.desk.look.k-1", reply, b"{}", f"NATS/1.0\r\n{block}\r\n".encode())
    (letter,) = desk.wire.published
    assert letter.headers["Jetmesh-Subject"] == "lanes.desk.look.k-1"
    letter.stored()
    assert desk.wire.verdicts == [Term(reply, "dead-lettered")]


@pytest.mark.parametrize("base", [Reject, Retry, Unavailable, ContractViolation, Verdict])
async def test_a_subclass_that_forgets_to_call_init_is_judged_as_what_it_is(
    base: type[Exception],
) -> None:
    class Own(base):  # type: ignore[valid-type,misc] # which one is the test's parameter
        def __init__(self, order: str) -> None:
            self.order = order

    desk = Desk(_raise(Own("k-1")))
    desk.deliver()
    if base is Unavailable:
        assert desk.consumer.runner.outage.reason == "k-1"
        await desk.consumer.stop()
    elif base in (Reject, ContractViolation):
        (letter,) = desk.wire.published
        assert letter.headers["Jetmesh-Error"] == "Own"
        assert letter.headers["Jetmesh-Message"] == "k-1"
    else:
        assert [type(each) for each in desk.wire.sent] == [Nak]
        assert desk.stats.last_error == "Own: k-1"


async def test_an_outage_whose_reason_raises_is_judged_all_the_same() -> None:
    desk = Desk(_raise(error_of(base=Unavailable, __str__=raising)))
    desk.deliver()
    assert desk.consumer.runner.outage.reason == "(an error that cannot be shown)"
    await desk.consumer.stop()
    assert len(desk.wire.verdicts) == 1


@pytest.mark.parametrize("made", [_raise, _raise_async])
async def test_what_cannot_be_judged_is_told_by_its_name(
    made: Callable[[BaseException], Callable[..., Any]],
) -> None:
    desk = Desk(made(error_of("Odd", Retry, __init__=forgetting, counts=property(raising))))
    desk.deliver()
    letter = await only_letter(desk)
    assert letter.headers["Jetmesh-Error"] == "Unjudgeable"
    assert letter.headers["Jetmesh-Message"] == "Odd could not be judged: ZeroDivisionError"


@pytest.mark.parametrize("made", [_raise, _raise_async])
async def test_where_not_even_that_can_be_written_it_comes_again_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, made: Callable[[BaseException], Callable[..., Any]]
) -> None:
    monkeypatch.setattr(verdicts, "dead_letter", raising)
    desk = Desk(made(Reject("never")))
    reply = desk.deliver()
    await eventually(lambda: desk.wire.sent)
    assert desk.wire.sent == [Nak(reply, 0.002)]
    assert desk.consumer.verdicts.unstorable.problem == (
        "DESK_IN:1 cannot be dead-lettered: "
        "Reject could not be judged: ZeroDivisionError, then ZeroDivisionError"
    )
    assert (desk.in_flight, desk.source.unsettled) == (0, 0)


async def test_a_refused_outcome_that_cannot_be_looked_up_fails_its_delivery() -> None:
    effect = Effect(Accepted("k-1"))
    desk = effect.deciding()

    async def look_up(stream: str, subject: str) -> StoredMessage | None:
        raise ValueError("no answer of this world")

    desk.deliver()
    await eventually(lambda: desk.wire.pending)
    desk.consumer.runner.decisions._look_up = look_up
    desk.wire.pending[0].decided()
    await eventually(lambda: desk.wire.verdicts)
    assert [type(each) for each in desk.wire.verdicts] == [Nak]
    assert desk.stats.last_error == "ValueError: no answer of this world"
    assert desk.streams.asked[0][1] == GUARD


async def test_what_was_given_back_is_not_dead_lettered_by_what_its_handler_raises_then() -> None:
    go = asyncio.Event()

    async def look(placed: Placed) -> None:
        await go.wait()
        raise Reject("never")

    desk = Desk(look)
    reply = desk.deliver()
    await all_that_can_run()
    desk.consumer.verdicts.give_back(desk.consumer.in_flight[b"1"])
    go.set()
    await eventually(lambda: not desk.consumer.runner.tasks)
    (verdict,) = desk.wire.sent
    assert isinstance(verdict, Nak)
    assert (verdict.reply, desk.stats.failed) == (reply, 0)


async def test_what_was_given_back_begins_no_outage() -> None:
    go = asyncio.Event()

    async def look(placed: Placed) -> None:
        await go.wait()
        raise Unavailable("the gateway")

    desk = Desk(look)
    desk.deliver()
    await all_that_can_run()
    desk.consumer.verdicts.give_back(desk.consumer.in_flight[b"1"])
    go.set()
    await eventually(lambda: not desk.consumer.runner.tasks)
    assert desk.consumer.runner.outage.reason == ""
