"""What /readyz tells, also of a part that cannot say how it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jetmesh.declare import DurableSpec, Policy
from jetmesh.errors import BrokerError
from jetmesh.runtime.health import Health
from jetmesh.runtime.watch import DurableWatch
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import durable_config


def healthy(*sources: Any) -> Health:
    health = Health()
    health.starting = ""
    health.sources = [*sources]
    return health


def test_a_part_that_cannot_say_how_it_is_is_told_and_hides_no_other() -> None:
    class Odd:
        @property
        def problem(self) -> str:
            raise LookupError("nothing for eyes")

    health = healthy(Odd(), SimpleNamespace(problem="the disk is full"))
    assert health.problems() == [
        "the health of Odd is not known (LookupError)",
        "the disk is full",
    ]


class Answers(ControlPlane):
    """Gives one answer after another, whatever is asked."""

    def __init__(self, *answers: Any) -> None:
        self.left = iter(answers)

    async def api(self, *_: Any, **__: Any) -> dict[str, Any]:
        answer = next(self.left)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, dict)
        return answer


def info(*, pending: int = 0) -> dict[str, Any]:
    """What the server says of a durable that is as declared."""
    return {
        "ts": "2026-11-29T12:00:00Z",
        "ack_floor": {"stream_seq": 4},
        "delivered": {"stream_seq": 4},
        "num_pending": pending,
        "num_ack_pending": 0,
        "config": durable_config(SPEC),
    }


SPEC = DurableSpec("DESK_IN", "look", ("a",), "looks", start="all", policy=Policy())


async def test_a_durable_at_rest_is_not_looked_at_until_there_may_be_something_to_see() -> None:
    inflow = SimpleNamespace(rests=True)
    consumer: Any = SimpleNamespace(inflow=inflow, stats=SimpleNamespace(lag=0))
    control = Answers(info(), info(pending=1), info(), BrokerError("no answer"))
    watched = DurableWatch(SPEC, consumer, control, applies=False)

    async def is_due_after_a_look() -> bool:
        await watched.check()
        return watched.is_due

    assert watched.is_due, "nobody has looked yet"
    assert not await is_due_after_a_look(), "all is quiet"
    assert await is_due_after_a_look(), "something waits there, which nobody takes"
    assert not await is_due_after_a_look(), "somebody took it"
    inflow.rests = False
    assert [watched.is_due] == [True], "something arrives, or its pull has a problem"
    inflow.rests = True
    assert await is_due_after_a_look(), "it was not well"


async def test_a_durable_that_was_not_well_is_not_told_for_ever_by_an_answer_nobody_can_read() -> (
    None
):
    spec: Any = SimpleNamespace(name="look", stream="DESK_IN", lane=False, filters=("a",))
    control = Answers(BrokerError("no answer"), {"ts": 5})
    consumer: Any = SimpleNamespace(inflow=SimpleNamespace(rests=True))
    watched = DurableWatch(spec, consumer, control, applies=False)
    await watched.check()
    assert watched.problem == "durable look on DESK_IN: no answer"
    with pytest.raises(KeyError):
        await watched.check()
    assert watched.problem == "durable look on DESK_IN: its health is not known (KeyError)"
