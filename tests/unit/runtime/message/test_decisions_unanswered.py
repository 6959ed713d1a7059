"""Nobody says what is decided: nothing is done without knowing, and it is told why."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetmesh.errors import BrokerError
from jetmesh.runtime.message import asking
from jetmesh.testing import eventually
from tests.unit.runtime.message.deciding import ACCEPTED, GUARD, Effect, ended
from tests.unit.runtime.message.desk import (
    Accepted,
    all_that_can_run,
    message_id,
)
from tests.unit.runtime.message.wire import Nak


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr(asking, "UNDECIDED_SECONDS", 0.0)


async def test_without_an_answer_nothing_happens_and_it_is_asked_again_until_there_is() -> None:
    effect = Effect(Accepted("k-1"))
    desk = effect.deciding()
    desk.streams.error = BrokerError("no leader")
    desk.deliver()
    await eventually(lambda: len(desk.streams.asked) > 5)
    assert (effect.runs, desk.wire.sent) == (0, [])
    assert set(desk.streams.asked) == {("DESK", GUARD)}
    desk.streams.error = None
    await ended(desk)
    assert effect.runs == 1


async def test_a_refusal_is_asked_about_until_there_is_an_answer() -> None:
    desk = Effect(Accepted("k-1")).deciding()
    desk.deliver()
    await ended(desk)
    desk.streams.error = BrokerError("no leader")
    desk.wire.published[0].decided()
    await eventually(lambda: len(desk.streams.asked) > 5)
    assert desk.wire.verdicts == []
    desk.streams.hold(GUARD, ACCEPTED, message_id("look", 1, ACCEPTED))
    desk.streams.error = None
    await ended(desk)
    assert len(desk.wire.verdicts) == 1


async def test_what_has_no_answer_for_long_is_a_problem_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Effect(Accepted("k-1")).deciding()
    desk.streams.error = BrokerError("no leader")
    for sequence in (1, 2):
        desk.deliver(sequence=sequence)
    await eventually(lambda: len(desk.streams.asked) > 4)
    look = desk.consumer.runner.asking
    assert look.problem == ""
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 0.0)
    expected = "desk.look cannot look up outcomes, 2 waiting: no leader"
    await eventually(lambda: look.problem)
    assert look.problem == expected
    desk.streams.error = None
    await ended(desk)
    assert look.problem == ""


async def test_the_newest_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 0.0)
    desk = Effect().deciding()
    desk.streams.error = BrokerError("no leader")
    desk.deliver()
    look = desk.consumer.runner.asking
    await eventually(lambda: look.problem.endswith("1 waiting: no leader"))
    desk.streams.error = BrokerError("no answer")
    await eventually(lambda: look.problem.endswith("1 waiting: no answer"))
    await desk.consumer.give_back()


async def test_who_waits_for_an_answer_is_given_back_at_the_end_and_waits_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 0.0)
    desk = Effect().deciding()
    desk.streams.error = BrokerError("no leader")
    desk.deliver()
    await eventually(lambda: desk.consumer.runner.asking.problem)
    await desk.consumer.stop()
    assert await desk.consumer.give_back() == 1
    assert [type(each) for each in desk.wire.verdicts] == [Nak]
    assert desk.consumer.runner.asking.problem == ""
    asked = len(desk.streams.asked)
    await all_that_can_run()
    assert len(desk.streams.asked) == asked


async def test_questions_of_many_deliveries_are_asked_side_by_side() -> None:
    effect, free = Effect(Accepted("k-1")), asyncio.Event()
    desk = effect.deciding()
    answer = desk.streams.last

    async def slowly(stream: str, subject: str) -> Any:
        found = await answer(stream, subject)
        await free.wait()
        return found

    desk.consumer.runner.decisions._look_up = slowly
    for sequence in range(1, 6):
        desk.deliver(sequence=sequence)
    await eventually(lambda: len(desk.streams.asked) == 5)
    assert effect.runs == 0
    free.set()
    await ended(desk)
    assert effect.runs == 5
