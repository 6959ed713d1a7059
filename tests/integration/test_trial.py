"""`jetmesh deploy test`, which `helm test` runs: the example's whole story, on a real server."""

from __future__ import annotations

from typing import Any

from jetmesh import Delivery
from jetmesh.declare import spec_of
from jetmesh.operate.deploy.trial import ended, failed, tried
from jetmesh.operate.trace import Step
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import Mesh
from tests.integration.one_handler import stop, topology_of, working


def well(_: str, __: Delivery) -> None: ...


def never(_: str, __: Delivery) -> None:
    raise ValueError("no luck")


async def try_(m: Mesh, placed: Any, seconds: float = 10.0) -> list[Step]:
    spec = spec_of(placed)
    assert spec is not None
    _, steps = await tried(m.control, topology_of(m), spec, seconds=seconds)
    return steps


async def test_a_story_has_ended_when_all_that_follows_is_stored(
    broker: Broker, unique: str
) -> None:
    async with working(broker, unique, well) as (m, _, placed):
        steps = await try_(m, placed)
        assert [step.subject for step in steps] == [f"{unique}-in.placed", f"{unique}.done"]
        assert ended(steps)
        assert not failed(steps)


async def test_what_is_given_up_has_failed(broker: Broker, unique: str) -> None:
    async with working(broker, unique, never, attempts=1) as (m, _, placed):
        steps = await try_(m, placed)
        assert ended(steps)
        assert failed(steps)


async def test_who_is_waited_for_is_named(broker: Broker, unique: str) -> None:
    async with working(broker, unique, well) as (m, consumer, placed):
        await stop(m, consumer)
        (step,) = await try_(m, placed, seconds=0.5)
        assert not ended([step])
        assert step.waits == (f"waiting for {unique}-service.do",)
