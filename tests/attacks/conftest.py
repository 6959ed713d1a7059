"""The shop's broker, with the permissions that `jetmesh topology` derives for each service."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
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


@pytest.fixture(scope="session")
def applied(
    tmp_path_factory: pytest.TempPathFactory, topology: Topology
) -> Callable[[Isolation], tuple[Path, Path]]:
    """The configuration of a server, and a store with all streams: made once for each isolation."""

    @cache
    def made(isolation: Isolation) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp(isolation)
        config, store = folder / "server.conf", folder / "store"
        derived = server_config(topology, isolation=isolation, credentials=Variables())
        config.write_text(derived.text)
        with Broker(store, config=config) as broker:
            asyncio.run(_apply(broker, topology))
        return config, store

    return made


async def _apply(broker: Broker, topology: Topology) -> None:
    async with await ControlPlane.connect(_operator(broker), name="operator") as control:
        await apply(control, await plan(control, topology))


def _operator(broker: Broker) -> NatsSettings:
    return NatsSettings(
        url=broker.url,
        user=OPERATOR,
        password=password_of(OPERATOR),
        inbox_prefix=inbox_prefix(OPERATOR),
    )


@pytest.fixture
def guarded(
    tmp_path: Path,
    topology: Topology,
    isolation: Isolation,
    applied: Callable[[Isolation], tuple[Path, Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Broker]:
    """A broker on which everyone may do only what is derived, with the streams of the shop."""
    for user in everybody(topology):
        monkeypatch.setenv(password_variable(user), password_of(user))
    config, store = applied(isolation)
    shutil.copytree(store, tmp_path / "store", ignore=shutil.ignore_patterns("*.log"))
    with Broker(tmp_path / "store", config=config) as broker:
        yield broker


@pytest_asyncio.fixture
async def operator(guarded: Broker) -> AsyncIterator[ControlPlane]:
    """Who may everything."""
    async with await ControlPlane.connect(_operator(guarded), name="operator") as control:
        yield control
