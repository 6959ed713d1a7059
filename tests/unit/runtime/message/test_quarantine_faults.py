"""What runs alone goes on running alone, whatever it or the broker does."""

from __future__ import annotations

import asyncio

import pytest

from jetmesh.errors import BrokerError
from jetmesh.runtime.message import quarantine
from jetmesh.runtime.message.quarantine import Quarantine
from jetmesh.testing import eventually
from jetmesh.transport.stored import StoredMessage
from tests.unit.runtime.message.desk import Desk, NoMarks, Placed
from tests.unit.runtime.message.wire import Ack, Nak

SUSPECT = 4
"""The number of a delivery that a stream has lost too often."""


class Marks(NoMarks):
    """Holds one mark for every message, or gives no answer."""

    def __init__(self, deaths: str = "", error: Exception | None = None) -> None:
        self.deaths = deaths
        self.error = error

    async def last(self, stream: str, subject: str) -> StoredMessage | None:
        if self.error is not None:
            raise self.error
        headers = {"Jetmesh-Deaths": self.deaths} if self.deaths else {}
        return StoredMessage(stream, 1, subject, headers, b"", 0)


def with_marks(desk: Desk, marks: Marks) -> None:
    desk.quarantine._marks = lambda: marks


@pytest.mark.parametrize("by_raising", [True, False])
async def test_a_message_that_cancels_itself_does_not_free_the_others(by_raising: bool) -> None:  # noqa: FBT001 - a parameter of the test
    at_once = most = 0
    runs: list[str] = []

    async def look(placed: Placed) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        runs.append(placed.order_id)
        try:
            await asyncio.sleep(0)
            if placed.order_id == "a":
                task = asyncio.current_task()
                assert task is not None
                if by_raising:
                    raise asyncio.CancelledError
                task.cancel()
            await asyncio.sleep(0)
        finally:
            at_once -= 1

    desk = Desk(look)
    for sequence, key in enumerate("abc", 1):
        desk.deliver(Placed(key), sequence, number=SUSPECT)
    await eventually(lambda: not desk.quarantine.active)
    assert (runs, most) == (["a", "b", "c"], 1)
    await eventually(lambda: len(desk.wire.verdicts) == 2)
    assert {type(each) for each in desk.wire.verdicts} == {Ack}
    (retry,) = desk.wire.published
    assert retry.headers["Jetmesh-Error"] == "CancelledError"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
async def test_a_message_that_raises_anything_does_not_end_the_quarantine(
    error: BaseException,
) -> None:
    runs: list[str] = []

    def look(placed: Placed) -> None:
        runs.append(placed.order_id)
        if placed.order_id == "a":
            raise error

    desk = Desk(look)
    for sequence, key in enumerate("ab", 1):
        desk.deliver(Placed(key), sequence, number=SUSPECT)
    await eventually(lambda: not desk.quarantine.active)
    assert runs == ["a", "b"]
    assert len(desk.wire.sent) == 2


async def test_a_mark_that_somebody_typed_is_no_number_of_deaths() -> None:
    runs: list[str] = []

    def look(placed: Placed) -> None:
        runs.append(placed.order_id)

    desk = Desk(look)
    with_marks(desk, Marks("many"))
    reply = desk.deliver(Placed("a"), number=SUSPECT)
    await eventually(lambda: not desk.quarantine.active)
    assert desk.wire.verdicts == [Ack(reply)]


async def test_a_mark_that_cannot_be_read_at_all_gives_its_message_back() -> None:
    def look(placed: Placed) -> None: ...

    desk = Desk(look)
    with_marks(desk, Marks(error=LookupError("an answer of another world")))
    first = desk.deliver(Placed("a"), number=SUSPECT)
    second = desk.deliver(Placed("b"), sequence=2)
    await eventually(lambda: not desk.quarantine.active)
    given_back, handled = desk.wire.verdicts
    assert isinstance(given_back, Nak)
    assert (given_back.reply, handled) == (first, Ack(second))


async def test_who_waits_for_its_mark_says_so_until_it_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quarantine, "_ASK_AGAIN_SECONDS", 0.001)

    def look(placed: Placed) -> None: ...

    desk = Desk(look)
    marks = Marks(error=BrokerError("no answer"))
    with_marks(desk, marks)
    desk.deliver(Placed("a"), number=SUSPECT)
    await eventually(lambda: desk.quarantine.problem)
    assert desk.quarantine.problem == "a message waits in quarantine for its mark: no answer"
    marks.error = None
    await eventually(lambda: not desk.quarantine.active)
    assert desk.quarantine.problem == ""
    assert isinstance(desk.quarantine, Quarantine)
