"""The shop's broker, with the permissions that `jetmesh topology` derives for each service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from jetmesh.declare import Topology
from jetmesh.operate.permissions import CLIENTS, authorization, password_variable
from jetmesh.operate.project import find_project
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan

ROOT = Path(__file__).parents[2]


def password_of(user: str) -> str:
    return f"{user}-secret"


@pytest.fixture(scope="session")
def topology() -> Topology:
    return find_project(start=ROOT).load().topology


@pytest.fixture
def guarded(
    tmp_path: Path, topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Broker]:
    """A broker on which everyone may do only what is derived."""
    for user in ("admin", CLIENTS, *(service.name for service in topology.services)):
        monkeypatch.setenv(password_variable(user), password_of(user))
    config = tmp_path / "server.conf"
    config.write_text(authorization(topology))
    with Broker(tmp_path / "store", config=config) as broker:
        yield broker


@pytest_asyncio.fixture
async def operator(guarded: Broker, topology: Topology) -> AsyncIterator[ControlPlane]:
    """Who may everything, and has made the streams."""
    settings = NatsSettings(url=guarded.url, user="admin", password=password_of("admin"))
    async with await ControlPlane.connect(settings, name="operator") as control:
        await apply(control, await plan(control, topology))
        yield control
