"""Many processes of one service that start together, and ask the server no more than they must."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest
from msgspec import Struct

from jetmesh import Service, event
from jetmesh.declare import Topology, derive
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime import provisioning
from jetmesh.runtime.provisioning import provision, wait_for_jetstream
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from tests.integration.planes import settings_of

_TOGETHER: Final = 250


class Counting(ControlPlane):
    """Notes what it asks for."""

    asked: list[str]

    async def api(
        self, subject: str, body: Mapping[str, Any] | None = None, *, timeout: float = 5.0
    ) -> dict[str, Any]:
        self.asked.append(subject)
        return await super().api(subject, body, timeout=timeout)


async def counting(broker: Broker) -> Counting:
    control = await Counting.connect(settings_of(broker), name="test")
    assert isinstance(control, Counting)
    control.asked = []
    return control


@pytest.fixture
def declared(unique: str) -> Topology:
    """A service with two handlers: six streams and durables of its own, and two for all."""

    @event(f"{unique}.placed", key="id")
    class Placed(Struct, frozen=True):
        id: str

    service = Service(f"{unique}-service")

    @service.on(Placed)
    def first(placed: Placed) -> None: ...

    @service.on(Placed)
    def second(placed: Placed) -> None: ...

    return derive([service], audited=False)


def all_of(declared: Topology) -> list[str]:
    streams = [f"STREAM.INFO.{each.name}" for each in declared.streams]
    return streams + [f"CONSUMER.INFO.{each.stream}.{each.name}" for each in declared.durables]


async def ready(control: ControlPlane, declared: Topology, *, applies: bool) -> None:
    await wait_for_jetstream(control, lambda _: None)
    await provision(control, declared, applies=applies, say=lambda _: None)


@pytest.mark.parametrize("setting", ["verify", "apply"])
async def test_where_all_is_there_each_process_asks_once_for_what_is_its_own(
    own_broker: Broker, declared: Topology, setting: str
) -> None:
    async with AsyncExitStack() as stack:
        many = [
            await stack.enter_async_context(await counting(own_broker)) for _ in range(_TOGETHER)
        ]
        await apply(many[0], await plan(many[0], declared))
        many[0].asked.clear()
        await asyncio.gather(
            *(ready(control, declared, applies=setting == "apply") for control in many)
        )
        for control in many:
            assert control.asked == ["INFO", *all_of(declared)]


async def test_where_nothing_is_there_many_make_it_together_and_all_are_ready(
    own_broker: Broker, declared: Topology
) -> None:
    async with AsyncExitStack() as stack:
        many = [
            await stack.enter_async_context(await counting(own_broker)) for _ in range(_TOGETHER)
        ]
        await asyncio.gather(*(ready(control, declared, applies=True) for control in many))
        assert not (await plan(many[0], declared)).changes


async def test_who_waits_asks_only_for_what_is_missing(
    own_broker: Broker, declared: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provisioning, "_LOOK_SECONDS", 0.05)
    lost = declared.durables[-1]
    async with await counting(own_broker) as control, await counting(own_broker) as operator:
        await apply(operator, await plan(operator, declared))
        await operator.api(f"CONSUMER.DELETE.{lost.stream}.{lost.name}")
        starting = asyncio.create_task(ready(control, declared, applies=False))
        everything = ["INFO", *all_of(declared)]
        await eventually(lambda: len(control.asked) > len(everything) + 5)
        assert control.asked[: len(everything)] == everything
        assert set(control.asked[len(everything) :]) == {f"CONSUMER.INFO.{lost.stream}.{lost.name}"}
        await apply(operator, await plan(operator, declared))
        await starting


def test_who_waits_for_long_asks_ever_more_slowly_and_not_in_step() -> None:
    pauses = provisioning._pauses()
    first = [next(pauses) for _ in range(4)]
    assert max(first) <= 2
    for _ in range(50):
        next(pauses)
    late = [next(pauses) for _ in range(20)]
    assert min(late) >= 2.5
    assert max(late) <= 5
    assert len({round(each, 3) for each in late}) > 10
