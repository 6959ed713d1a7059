"""What /readyz tells, also of a part that cannot say how it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jetmesh.errors import BrokerError
from jetmesh.runtime.health import Health
from jetmesh.runtime.watch import DurableWatch
from jetmesh.transport.control import ControlPlane


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


async def test_a_durable_that_was_not_well_is_not_told_for_ever_by_an_answer_nobody_can_read() -> (
    None
):
    spec: Any = SimpleNamespace(name="look", stream="DESK_IN", lane=False, filters=("a",))
    control = Answers(BrokerError("no answer"), {"ts": 5})
    watched = DurableWatch(spec, SimpleNamespace(), control, applies=False)  # type: ignore[arg-type] # it is not looked at
    await watched.check()
    assert watched.problem == "durable look on DESK_IN: no answer"
    with pytest.raises(KeyError):
        await watched.check()
    assert watched.problem == "durable look on DESK_IN: its health is not known (KeyError)"
