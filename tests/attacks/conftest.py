"""The shop's broker, with the permissions that `jetmesh topology` derives for each service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from jetmesh.declare import Topology
from jetmesh.operate.identities import (
    OPERATOR,
    RESERVED,
    Isolation,
    Variables,
    inbox_prefix,
    password_variable,
    server_config,
)
from jetmesh.operate.project import find_project
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan

ROOT = Path(__file__).parents[2]


def password_of(user: str) -> str:
    return f"{user}-secret"


def everybody(topology: Topology) -> list[str]:
    """Every user of the broker."""
    return [*RESERVED, *(service.name for service in topology.services)]


@pytest.fixture(scope="session")
def topology() -> Topology:
    return find_project(start=ROOT).load().topology


@pytest.fixture(params=["users", "all"])
def isolation(request: pytest.FixtureRequest) -> Isolation:
    found: Isolation = request.param
    return found


@pytest.fixture
def guarded(
    tmp_path: Path, topology: Topology, isolation: Isolation, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Broker]:
    """A broker on which everyone may do only what is derived."""
    for user in everybody(topology):
        monkeypatch.setenv(password_variable(user), password_of(user))
    config = tmp_path / "server.conf"
    derived = server_config(topology, isolation=isolation, credentials=Variables())
    config.write_text(derived.text)
    with Broker(tmp_path / "store", config=config) as broker:
        yield broker


@pytest_asyncio.fixture
async def operator(guarded: Broker, topology: Topology) -> AsyncIterator[ControlPlane]:
    """Who may everything, and has made the streams."""
    settings = NatsSettings(
        url=guarded.url,
        user=OPERATOR,
        password=password_of(OPERATOR),
        inbox_prefix=inbox_prefix(OPERATOR),
    )
    async with await ControlPlane.connect(settings, name="operator") as control:
        await apply(control, await plan(control, topology))
        yield control
