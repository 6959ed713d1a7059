"""Servers that are not what we need: too old, or without JetStream."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jetmesh.declare import derive
from jetmesh.errors import BrokerError
from jetmesh.operate.up.broker import Broker, find_server
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import plan
from tests.integration.planes import settings_of


async def test_a_server_that_is_too_old_is_refused_with_its_version(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def old(*_: Any, **__: Any) -> dict[str, Any]:
        return {"api": {"level": 1}}

    async with await ControlPlane.connect(settings_of(broker), name="test") as control:
        await control.check_server()
        monkeypatch.setattr(control, "api", old)
        with pytest.raises(BrokerError, match=r"nats-server 2.*is too old.*Run nats-server 2\.14"):
            await control.check_server()


@pytest.fixture
def without_jetstream(tmp_path: Path) -> Iterator[NatsSettings]:
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [find_server(), "-a", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
        )
    yield NatsSettings(url=f"nats://127.0.0.1:{port}")
    server.terminate()
    server.wait(5)


async def test_a_server_without_jetstream_is_refused_with_the_remedy(
    without_jetstream: NatsSettings,
) -> None:
    async def connected() -> ControlPlane | None:
        try:
            return await ControlPlane.connect(without_jetstream, name="test")
        except BrokerError:
            return None

    async with await eventually(connected) as control:
        for asked in (control.check_server(), plan(control, derive([]))):
            with pytest.raises(BrokerError, match="Start nats-server with -js"):
                await asked
