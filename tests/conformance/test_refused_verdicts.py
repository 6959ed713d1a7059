"""A user who may pull and not settle: the durable pauses until verdicts are taken again."""

# ruff: noqa: S106 - the passwords are those of a broker that lives for one test
from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.conformance.sides import (
    Plane,
    Real,
    Side,
    Simulated,
    Taker,
    make_durable,
    make_stream,
    publish,
)
from tests.integration.identities import Configured, at, configured, rewrite
from tests.integration.test_permissions import permitting

__all__ = ["configured"]
_ADMIN = NatsSettings(user="admin", password="a")
_WORKER = NatsSettings(user="worker", password="w")


class Strict(Side, Protocol):
    """A side whose user may settle only where it is told that it may."""

    def take_verdicts(self, plane: Plane, stream: str, durable: str) -> None:
        """Give the permission."""

    async def strictly(self, stream: str, durable: str) -> Plane:
        """A connection that may settle on no durable but this one's."""


class StrictlySimulated(Simulated):
    def take_verdicts(self, plane: Plane, stream: str, durable: str) -> None:
        plane.take_verdicts(stream, durable)  # type: ignore[union-attr] # it is simulated

    async def strictly(self, stream: str, durable: str) -> Plane:
        plane = await self.connect()
        plane.refuse_verdicts(stream, durable)
        return plane


class StrictlyReal(Real):
    def __init__(self, name: str, broker: Broker, control: ControlPlane) -> None:
        super().__init__(name, broker, control)
        self._broker = broker
        self._settings = at(_WORKER, broker)

    def take_verdicts(self, plane: Plane, stream: str, durable: str) -> None:
        del plane, stream, durable  # everybody may, on every one
        rewrite(self._broker, allowing(self.name, "$JS.ACK.>"))

    async def strictly(self, stream: str, durable: str) -> Plane:
        del stream, durable  # its user may not from the beginning
        return await self.connect()


def allowing(name: str, *more: str) -> str:
    settles = f"$JS.ACK.{name.upper()}IN.works.>"
    return permitting(["$JS.API.>", f"{name}.>", settles, *more])


@pytest.fixture(params=["simulation", "nats-server"])
async def side(request: pytest.FixtureRequest, unique: str) -> AsyncIterator[Strict]:
    if request.param == "simulation":
        yield StrictlySimulated(unique)
        return
    start: Configured = request.getfixturevalue("configured")
    broker = start(allowing(unique))
    async with await ControlPlane.connect(at(_ADMIN, broker), name="test") as control:
        real = StrictlyReal(unique, broker, control)
        async with real.stack:
            yield real


async def test_a_durable_pauses_while_its_verdicts_are_refused(side: Strict) -> None:
    stream = await make_stream(side, "IN", "in.>")
    for name in ("works", "paused"):
        await make_durable(side, stream, name, "in.>", ack_wait=0.5)
    plane = await side.strictly(stream, "paused")
    works, paused = (Taker(plane, stream, name, limit=1) for name in ("works", "paused"))
    await publish(side, plane, f"{side.name}.in.a")
    await side.eventually(lambda: paused.inflow.muted)
    for _ in range(3):
        await publish(side, plane, f"{side.name}.in.a")
    await side.eventually(lambda: len(works.taken) == 4)
    await side.pass_time(1.2)
    assert len(paused.taken) <= 2, "it is not asked for again and again"
    assert works.inflow.muted == ""
    side.take_verdicts(plane, stream, "paused")
    await side.eventually(lambda: not paused.inflow.muted)
    await side.eventually(lambda: set(paused.sequences) == {1, 2, 3, 4})


async def test_who_pauses_is_told_when_it_begins_and_when_it_ends(side: Strict) -> None:
    stream = await make_stream(side, "IN", "in.>")
    await make_durable(side, stream, "paused", "in.>")
    plane = await side.strictly(stream, "paused")
    told: list[bool] = []

    def on_delivery(_: bytes, reply: bytes, __: bytes, ___: bytes) -> None:
        plane.ack(reply)
        inflow.settled()

    def on_muted() -> None:
        told.append(bool(inflow.muted))

    inflow = plane.inflow(stream, "paused", limit=1, on_delivery=on_delivery, on_muted=on_muted)
    inflow.start()
    await publish(side, plane, f"{side.name}.in.a")
    await side.eventually(lambda: told == [True])
    side.take_verdicts(plane, stream, "paused")
    await side.eventually(lambda: told == [True, False])
