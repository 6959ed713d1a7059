"""Every test of the suite runs on both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.conformance.sides import Plane, Real, Side, Simulated


@pytest.fixture(params=["simulation", "nats-server"])
async def side(request: pytest.FixtureRequest, unique: str) -> AsyncIterator[Side]:
    if request.param == "simulation":
        yield Simulated(unique)
        return
    broker: Broker = request.getfixturevalue("broker")
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        real = Real(unique, broker, control)
        async with real.stack:
            yield real


@pytest.fixture
async def plane(side: Side) -> Plane:
    """The connection of one process."""
    return await side.connect()
