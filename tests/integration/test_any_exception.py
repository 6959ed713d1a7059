"""Exceptions as nobody should write them, on a real broker: a letter each, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetmesh import Delivery, Reject
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.message import verdicts
from jetmesh.testing import eventually
from tests.integration.one_handler import letters, outcomes, working


def errors() -> dict[str, BaseException]:
    return {
        "p-name": type("Broken\r\nNats-Msg-Id: x\r\n\r\n", (Exception,), {})("said"),
        "p-text": type("Mute", (Exception,), {"__str__": lambda _: 1 / 0})(),
        "p-trace": type("Cut", (Exception,), {"__traceback__": property(lambda _: 1 / 0)})(),
        "p-interrupt": KeyboardInterrupt(),
        "p-exit": SystemExit(3),
        "p-generator": GeneratorExit(),
        "p-cancel": asyncio.CancelledError(),
        "p-group": BaseExceptionGroup("several", [KeyboardInterrupt(), Reject("never")]),
    }


@pytest.mark.parametrize("is_async", [False, True])
async def test_each_ends_in_a_letter_and_the_connection_stands(
    broker: Broker,
    unique: str,
    is_async: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    raised = errors()
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: unheard.append(about))

    def work(key: str, _: Delivery) -> None:
        if key in raised:
            raise raised[key]

    async with working(broker, unique, work, is_async=is_async, attempts=2) as (m, _, placed):
        running = m.running[f"{unique}-service"]
        for key in (*raised, "p-fine"):
            await m.publish(placed(key))
        await eventually(lambda: stored(m, unique, len(raised)), what="a letter for each")
        await m.settled()
        assert [done.subject for done in await outcomes(m, unique)] == [f"{unique}.done.p-fine"]
        names = {letter.headers["Jetmesh-Error"] for letter in await letters(m, unique)}
        assert r"Broken\r\nNats-Msg-Id: x\r\n\r\n" in names
        assert running._plane.reconnects == 0
        assert running.health.problems() == []
    assert unheard == []


async def stored(m: Any, domain: str, count: int) -> bool:
    return len(await letters(m, domain)) == count


async def test_what_cannot_be_dead_lettered_is_told_until_it_is(
    broker: Broker, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_key: str, _: Delivery) -> None:
        raise Reject("never")

    def unwritable(*_: Any) -> Any:
        raise ValueError("no letter")

    async with working(broker, unique, work, backoff_cap=0.3) as (m, _, placed):
        running = m.running[f"{unique}-service"]
        monkeypatch.setattr(verdicts, "dead_letter", unwritable)
        await m.publish(placed("p-1"))
        await eventually(
            lambda: any("cannot be dead-lettered" in each for each in running.health.problems())
        )
        monkeypatch.undo()
        await eventually(lambda: running.health.problems() == [], what="ready")
        assert await stored(m, unique, 1)
