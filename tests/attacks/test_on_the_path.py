"""Somebody on the path between a service and the broker: what they can do, and with TLS cannot.

What is said before TLS, record by record: tests/integration/test_encryption.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace

from jetmesh.declare import Topology
from jetmesh.errors import BrokerError
from jetmesh.operate.identities import Variables, password_variable, server_config
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.provision import apply, plan
from tests.attacks.conftest import everybody, password_of
from tests.certificates import Certificates
from tests.integration.on_path import OnPath
from tests.integration.planes import publish
from tests.integration.tls_server import TlsServer

CLIENTS = "clients"
SUBJECT = "purchases.created.p-1"
BOUGHT = b'{"purchase_id":"p-1","total":"9.00","payment_token":"tok_secret"}'
CHEAPER = BOUGHT.replace(b"9.00", b"0.01")
SECRETS = (password_of(CLIENTS).encode(), b"tok_secret", b"p-1")


@pytest.fixture
def encrypted(
    tmp_path: Path,
    topology: Topology,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Broker]:
    """A broker with the derived identities, on TLS for whoever asks for it."""
    for user in everybody(topology):
        monkeypatch.setenv(password_variable(user), password_of(user))
    config = tmp_path / "server.conf"
    derived = server_config(topology, isolation="pages", credentials=Variables())
    config.write_text(f"{derived.text}{certificates.config()}allow_non_tls: true\n")
    with Broker(tmp_path / "store", config=config) as broker:
        yield broker


@pytest_asyncio.fixture
async def operator(encrypted: Broker, topology: Topology) -> AsyncIterator[ControlPlane]:
    """By a way of their own, and streams for what is bought."""
    nats = NatsSettings(url=encrypted.url, user="operator", password=password_of("operator"))
    async with await ControlPlane.connect(nats, name="operator") as control:
        await apply(control, await plan(control, topology))
        yield control


@pytest_asyncio.fixture
async def path(encrypted: Broker) -> AsyncIterator[OnPath]:
    async with OnPath(encrypted.port) as made:
        yield made


def in_the_clear(path: OnPath) -> NatsSettings:
    url = f"nats://127.0.0.1:{path.port}"
    return NatsSettings(url=url, user=CLIENTS, password=password_of(CLIENTS))


def on_tls(path: OnPath, certificates: Certificates) -> NatsSettings:
    url = f"tls://127.0.0.1:{path.port}"
    return replace(in_the_clear(path), url=url, tls_ca_file=certificates["ca.pem"])


def heard(path: OnPath) -> bytes:
    return b"".join(bytes(each) for each in path.heard)


async def stored(operator: ControlPlane) -> list[bytes]:
    return [each.payload async for each in operator.history("PURCHASES", [SUBJECT])]


async def test_without_tls_they_read_the_password_and_change_what_is_bought(
    path: OnPath, operator: ControlPlane
) -> None:
    """Nothing stands in their way: docs/security.md says so, too."""
    path.rewrite = lambda said: said.replace(b"9.00", b"0.01")
    async with DataPlane(in_the_clear(path), name="customer") as plane:
        assert await publish(plane, SUBJECT, BOUGHT) == "stored"
    assert all(secret in heard(path) for secret in SECRETS)
    assert await stored(operator) == [CHEAPER]


async def test_with_tls_they_read_neither_password_nor_what_is_bought(
    path: OnPath, operator: ControlPlane, certificates: Certificates
) -> None:
    nats = on_tls(path, certificates)
    async with DataPlane(nats, name="customer") as plane:
        assert await publish(plane, SUBJECT, BOUGHT) == "stored"
    async with await ControlPlane.connect(nats, name="look") as control:
        await control.api("STREAM.NAMES")
    assert len(path.heard) == 2
    assert not [secret for secret in SECRETS if secret in heard(path)]
    assert path.in_the_clear == b""
    assert await stored(operator) == [BOUGHT]


async def test_with_tls_a_changed_byte_ends_the_connection_and_changes_nothing(
    path: OnPath, operator: ControlPlane, certificates: Certificates
) -> None:
    """What was on its way is stored once, as it was, as soon as they leave."""
    async with DataPlane(on_tls(path, certificates), name="customer") as plane:
        await plane.flush()
        path.rewrite = lambda said: said[:-1] + bytes([said[-1] ^ 1])
        bought = asyncio.create_task(publish(plane, SUBJECT, BOUGHT))
        await eventually(lambda: plane.problem and len(path.heard) > 2)
        assert not bought.done()
        assert await stored(operator) == []
        path.rewrite = bytes
        assert await bought == "stored"
    assert await stored(operator) == [BOUGHT]


async def test_with_tls_they_can_cut_which_is_said_and_loses_nothing(
    path: OnPath, operator: ControlPlane, certificates: Certificates
) -> None:
    async with DataPlane(on_tls(path, certificates), name="customer") as plane:
        await plane.flush()
        path.is_cut = True
        path.drop()
        await eventually(lambda: plane.problem.startswith("no broker"))
        bought = asyncio.create_task(publish(plane, SUBJECT, BOUGHT))
        path.is_cut = False
        assert await bought == "stored"
    assert await stored(operator) == [BOUGHT]


async def test_with_tls_a_server_of_their_own_is_told_nothing(
    certificates: Certificates, tmp_path: Path
) -> None:
    """It has a certificate for the very name, of an authority that nobody trusts."""
    async with TlsServer(Certificates(tmp_path)) as impostor, OnPath(impostor.port) as path:
        nats = on_tls(path, certificates)
        with pytest.raises(BrokerError, match="certificate"):
            await ControlPlane.connect(nats, name="customer")
        plane = DataPlane(nats, name="customer")
        connecting = asyncio.create_task(plane.connect())
        await eventually(lambda: "certificate" in plane.problem)
        await plane.close()
        await asyncio.gather(connecting, return_exceptions=True)
        assert impostor.connections >= 2
        assert impostor.read == b""
        assert path.in_the_clear == b""
