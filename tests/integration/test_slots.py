"""Each process of a read model reads with a consumer of its own, of the few that there are."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from msgspec import Struct

from jetmesh import Record, Service, derive, event
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime import slots
from jetmesh.runtime.running import Running
from jetmesh.settings import NatsSettings
from jetmesh.testing import _load, eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan

PATIENT = 20
"""Seconds: a lost slot is noticed after two looks."""


class Board:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def apply(self, _: object, record: Record) -> None:
        self.seen.append(record.sequence)


def board(unique: str, instances: int) -> Service:
    @event(f"{unique}.told", key="id")
    class Told(Struct, frozen=True):
        id: str

    service = Service(f"{unique}-board")
    service.read_model(Board, events=[Told], instances=instances)
    return service


@asynccontextmanager
async def applied(broker: Broker, service: Service) -> AsyncIterator[ControlPlane]:
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        topology = derive([service])
        await apply(control, await plan(control, topology))
        yield control


def running(broker: Broker, service: Service) -> Running:
    verify = {"JETMESH__PROVISION": "verify", "JETMESH__GRACE": "200ms"}
    return Running(service, _load([service], broker.url, verify))


async def ready(one: Running) -> None:
    await one.started
    await eventually(lambda: not one.health.problems(), what="ready")


async def has_seen(one: Running, count: int) -> None:
    """Everything up to that sequence, at least once."""
    wanted = {*range(1, count + 1)}
    await eventually(lambda: wanted == set(seen(one)), within=PATIENT, what="every event")


def seen(one: Running) -> list[int]:
    board: Board = one.injector[Board]
    return board.seen


async def test_one_more_instance_than_slots_says_so_until_another_one_ends(
    broker: Broker, unique: str
) -> None:
    service = board(unique, 2)
    async with applied(broker, service) as control, AsyncExitStack() as stack:
        await control.publish(f"{unique}.told.a", b'{"id":"a"}')
        first, second = [await stack.enter_async_context(running(broker, service)) for _ in "12"]
        for one in (first, second):
            await ready(one)
        async with running(broker, service) as third:
            await third.started
            told = f"all 2 slots of {unique}-board.Board are taken"
            await eventually(lambda: any(told in text for text in third.health.problems()))
            assert any("run jetmesh apply" in text for text in third.health.problems())
            link = second._plane._link
            assert link is not None
            link.abort("killed")
            await second._plane.close()
            await eventually(
                lambda: not third.health.problems(), within=PATIENT, what="the slot of the dead"
            )
            assert seen(third) == [1]


async def test_slots_that_nobody_made_are_waited_for(broker: Broker, unique: str) -> None:
    service = board(unique, 2)
    async with applied(broker, service) as control, running(broker, service) as one:
        await ready(one)
        names = [slot.name for slot in derive([service]).slots]
        for name in names:
            await control.api(f"CONSUMER.DELETE.{unique.upper()}.{name}")
        await eventually(
            lambda: any("slots" in text for text in one.health.problems()), within=PATIENT
        )
        await control.publish(f"{unique}.told.a", b'{"id":"a"}')
        await apply(control, await plan(control, derive([service])))
        await eventually(lambda: seen(one) == [1], within=PATIENT, what="the rest")


async def test_two_that_took_the_same_slot_both_read_everything(
    broker: Broker, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when both looked before either had pulled."""
    service = board(unique, 3)
    is_free, sample = slots._is_free, random.sample
    async with applied(broker, service) as control, AsyncExitStack() as stack:
        monkeypatch.setattr(slots, "_is_free", lambda _: True)
        monkeypatch.setattr(random, "sample", lambda several, _: list(several))
        several = [await stack.enter_async_context(running(broker, service)) for _ in "12"]
        for one in several:
            await ready(one)
        info = await control.api(f"CONSUMER.INFO.{unique.upper()}.{unique}-board-Board-1")
        assert info["num_waiting"] == 2
        monkeypatch.setattr(slots, "_is_free", is_free)
        monkeypatch.setattr(random, "sample", sample)
        await control.publish(f"{unique}.told.a", b'{"id":"a"}')  # the one has it, the other not
        for one in several:
            await has_seen(one, 1)
        for number in range(2, 6):
            await control.publish(f"{unique}.told.a", b'{"id":"a"}')
            for one in several:
                await has_seen(one, number)
