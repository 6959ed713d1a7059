"""An encrypted broker: nothing is believed that came before TLS, or that cannot be true."""

# ruff: noqa: S106 - the passwords are those of brokers that live for one test

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from jetmesh import wire
from jetmesh.errors import BrokerError, SettingsError
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from tests.certificates import Certificates
from tests.integration.identities import Configured, at
from tests.integration.on_path import OnPath, appending, claiming
from tests.integration.planes import (
    Fate,
    OddServer,
    both,
    check_works,
    make_stream,
    problem_of,
    publish,
    settings_of,
)
from tests.integration.secured import BIG, Ear, through
from tests.integration.tls_server import TlsServer

# what is said before TLS


FORGED = b"MSG orders.validated.x 2 $JS.ACK.S.d.1.1.1.1700000000000000000.0 6\r\nFORGED\r\n"
APPENDED = {
    "a message": [FORGED],
    "half a message": [FORGED[:20]],
    "a message in a chunk of its own": [b"", FORGED],
    "a second INFO": [b'INFO {"max_payload":1}\r\n'],
    "a ping": [wire.PING],
    "a pong": [wire.PONG, wire.PONG],
    "an error": [b"-ERR 'Authorization Violation'\r\n"],
    "one byte": [b"M"],
}


@pytest.mark.parametrize("said", APPENDED.values(), ids=APPENDED)
async def test_whatever_follows_the_info_in_the_clear_ends_the_connection(
    secured: Broker, certificates: Certificates, unique: str, said: list[bytes]
) -> None:
    """As an attacker on the path would say it when services connect again."""
    async with (
        OnPath(secured.port) as path,
        both(through(path.port, certificates)) as (plane, control),
    ):
        await make_stream(control, unique.upper(), f"{unique}.>")
        ear = Ear(plane)
        asked: list[str] = []
        await control.subscribe("$SRV.PING", remembering(asked))
        path.tamper = appending(*said)
        path.drop()
        tries = len(path.heard) + 6
        await eventually(lambda: len(path.heard) > tries and plane.problem and control.problem)
        assert not ear.heard
        assert not asked
        path.tamper = None
        await eventually(lambda: not plane.problem and not control.problem)
        assert await publish(plane, f"{unique}.a") == "stored"
        await control.api("INFO")
        assert not ear.heard
        assert not asked
        assert path.in_the_clear == b""


def remembering(asked: list[str]) -> Callable[[str], Awaitable[bytes]]:
    async def answer(subject: str) -> bytes:
        asked.append(subject)
        return b"{}"

    return answer


async def test_who_speaks_before_tls_is_named(secured: Broker, certificates: Certificates) -> None:
    async with OnPath(secured.port, appending(FORGED)) as path:
        nats = through(path.port, certificates)
        with pytest.raises(BrokerError, match="in between, sends more before TLS: b'MSG orders"):
            await ControlPlane.connect(nats, name="test")


async def test_limits_and_addresses_count_only_inside_tls(
    secured: Broker, certificates: Certificates, unique: str
) -> None:
    async with OddServer() as trap:
        lies = claiming(
            max_payload=1, connect_urls=[f"127.0.0.1:{trap.port}"], ldm=True, version="0.1"
        )
        async with (
            OnPath(secured.port, lies) as path,
            both(through(path.port, certificates)) as (plane, control),
        ):
            await make_stream(control, unique.upper(), f"{unique}.>")
            for _ in range(2):  # at first, and when it connects again
                assert await publish(plane, f"{unique}.a", b"x" * (2 << 20)) == "stored"
                assert (await control.publish(f"{unique}.a", b"x" * (2 << 20))).sequence
                assert "max_payload" in await publish(plane, f"{unique}.a", b"x" * BIG)
                assert plane._link
                assert plane._link.info.version.startswith("2.")
                await control.check_server()
                path.drop()
                await eventually(lambda: plane.problem and control.problem)
                await eventually(lambda: not plane.problem and not control.problem)
            assert trap.connections == 0


async def test_limits_that_cannot_be_true_in_the_clear_change_nothing(
    secured: Broker, certificates: Certificates
) -> None:
    lies = claiming(max_payload=-1, connect_urls=7)
    async with (
        OnPath(secured.port, lies) as path,
        both(through(path.port, certificates)) as (plane, _),
    ):
        assert plane.publishes.max_payload == BIG


async def test_a_server_that_says_nothing_of_itself_inside_tls_is_not_used(
    certificates: Certificates,
) -> None:
    """Its limits would be anybody's guess, and what seems too large becomes a dead letter."""
    async with TlsServer(certificates) as server:
        server.inside = None
        with pytest.raises(BrokerError, match="sends no INFO inside TLS"):
            await ControlPlane.connect(server.settings, name="test")
        plane = DataPlane(server.settings, name="test")
        connecting = asyncio.create_task(plane.connect())
        await eventually(lambda: "sends no INFO inside TLS" in plane.problem)
        server.inside = {"max_payload": 2 << 20}
        await asyncio.wait_for(connecting, 10)
        assert plane.publishes.max_payload == 2 << 20
        await plane.close()


# credentials


ASKING = (
    {"url": "tls://127.0.0.1:{port}"},
    {"url": "TLS://127.0.0.1:{port}"},
    {"url": " Tls://127.0.0.1:{port}/ "},
    {"url": "nats://127.0.0.1:{port},tLS://127.0.0.1:{port}"},
    {"url": "127.0.0.1:{port}", "tls_ca_file": "ca.pem"},
    {"url": "nats://127.0.0.1:{port}", "tls_cert_file": "client.pem", "tls_key_file": "client.key"},
    {"url": "nats://127.0.0.1:{port}", "tls_first": True},
)


@pytest.mark.parametrize("asking", ASKING, ids=lambda asking: " ".join(map(str, asking.values())))
async def test_credentials_never_go_out_before_tls(
    secured: Broker,
    certificates: Certificates,
    asking: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody on the path claims that the server knows of no TLS."""
    monkeypatch.setenv("SSL_CERT_FILE", certificates["ca.pem"])
    none = claiming(tls_required=False, tls_available=False, tls_verify=False)
    async with OnPath(secured.port, none) as path:
        files = {n: certificates[v] for n, v in asking.items() if n.endswith("_file")}
        url = asking["url"].format(port=path.port)
        asked = {**asking, **files, "url": url}
        nats = NatsSettings(user="svc", password="s3cret", **asked)
        plane = DataPlane(nats, name="test")
        connecting = asyncio.create_task(plane.connect())
        with pytest.raises(BrokerError):
            await ControlPlane.connect(nats, name="test")
        await eventually(lambda: len(path.heard) > 3)
        await plane.close()
        await asyncio.gather(connecting, return_exceptions=True)
        assert path.in_the_clear == b""


@pytest.mark.parametrize(
    "url", ["tls:/h", "tls//h", "tls:h", "nats://tls://h", "tls:///h", "nats+tls://h", "tls://"]
)
def test_what_is_almost_tls_is_not_an_address(url: str) -> None:
    """It must not pass for a host to be spoken to in the clear."""
    with pytest.raises(SettingsError, match="cannot be used"):
        DataPlane(NatsSettings(url=url), name="test")


async def test_who_has_tls_without_asking_for_it_is_told(
    configured: Configured, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server wants it, the settings do not: whoever is on the path can switch it off."""
    monkeypatch.setenv("SSL_CERT_FILE", certificates["ca.pem"])
    broker = configured(certificates.config())
    silent = settings_of(broker)
    for nats, warned in ((silent, True), (at(silent, broker, scheme="tls"), False)):
        with capture_logs() as logs:
            async with DataPlane(nats, name="test"):
                pass
        assert warned == any(line["log_level"] == "warning" for line in logs)


# TLS first


@pytest.mark.parametrize(
    ("theirs", "ours"), [(True, True), ("auto", True), ("auto", False), (False, False)]
)
async def test_tls_first_works_on_both_planes_where_the_server_has_it(
    configured: Configured,
    certificates: Certificates,
    *,
    theirs: bool | str,
    ours: bool,
    unique: str,
) -> None:
    limit = f"max_payload: {BIG}\n"
    broker = configured(certificates.config(verify=True, first=theirs) + limit)
    nats = settings_of(broker, tls_first=ours, **certificates.client)
    async with both(nats) as (plane, control):
        assert plane.publishes.max_payload == BIG
        await make_stream(control, unique.upper(), f"{unique}.>")
        assert await publish(plane, f"{unique}.a") == "stored"
        await asyncio.to_thread(broker.stop)
        await eventually(lambda: plane.problem and control.problem)
        await asyncio.to_thread(broker.start)
        await eventually(lambda: not plane.problem and not control.problem)
        assert await publish(plane, f"{unique}.b") == "stored"
        assert (await control.publish(f"{unique}.c", b"{}")).sequence == 3


async def test_tls_first_alone_asks_for_tls(
    configured: Configured, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificates["ca.pem"])
    broker = configured(certificates.config(first=True))
    await check_works(settings_of(broker, tls_first=True))


@pytest.mark.parametrize(
    ("first", "said"), [(True, "needs nats.tls_first"), (False, "answers without TLS")]
)
async def test_tls_first_on_one_side_only_is_named(
    configured: Configured, certificates: Certificates, *, first: bool, said: str
) -> None:
    broker = configured(certificates.config(first=first))
    nats = settings_of(broker, tls_ca_file=certificates["ca.pem"], tls_first=not first)
    assert said in await problem_of(nats)
    with pytest.raises(BrokerError, match=said):
        await ControlPlane.connect(nats, name="test")


# servers that a server tells of


async def test_a_learned_server_is_spoken_to_over_tls_if_its_teller_was(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when only the server wanted TLS: the settings do not ask for it."""
    monkeypatch.setenv("SSL_CERT_FILE", certificates["ca.pem"])
    async with OddServer() as trap, TlsServer(certificates) as second:
        first = TlsServer(certificates)
        first.inside = {"connect_urls": [f"127.0.0.1:{trap.port}", f"localhost:{second.port}"]}
        async with first:
            nats = NatsSettings(url=f"nats://127.0.0.1:{first.port}", user="u", password="s3cret")
            async with DataPlane(nats, name="test") as plane:
                first.close()
                await eventually(lambda: trap.connections and not plane.problem)
                assert plane._server is not None
                assert plane._server.port == second.port
                assert b"s3cret" in second.read
        assert trap.read == b""


async def test_a_learned_server_is_spoken_to_over_tls_by_the_control_plane_too(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificates["ca.pem"])
    async with OddServer() as trap, TlsServer(certificates) as second:
        first = TlsServer(certificates)
        first.inside = {"connect_urls": [f"127.0.0.1:{trap.port}"]}
        async with first:
            nats = NatsSettings(url=f"nats://127.0.0.1:{first.port}", user="u", password="s3cret")
            async with await ControlPlane.connect(nats, name="test") as control:
                told = {"connect_urls": [f"127.0.0.1:{trap.port}", f"localhost:{second.port}"]}
                first.tell(told)
                await eventually(lambda: len([*control._session._servers]) == 3)
                first.close()
                await eventually(lambda: trap.connections and second.connections)
                await eventually(lambda: not control.problem)
                assert b"s3cret" in second.read
        assert trap.read == b""


async def test_servers_that_are_told_of_can_be_ignored() -> None:
    async with (
        OddServer() as second,
        OddServer(connect_urls=[f"127.0.0.1:{second.port}"]) as first,
        both(replace(first.settings, ignore_discovered_servers=True)) as (plane, control),
    ):
        first._server.close()
        first.drop()
        await eventually(lambda: plane.problem.startswith("no broker"))
        await eventually(lambda: "nothing is listening" in control.problem)
        assert second.connections == 0


# INFO


UNTRUE = [
    {"max_payload": -1},
    {"max_payload": 0},
    {"max_payload": "many"},
    {"max_payload": 1.5},
    {"connect_urls": "127.0.0.1:4222"},
    {"connect_urls": [1]},
    {"ldm": "perhaps"},
    {"nonce": 7},
]


@pytest.mark.parametrize("facts", UNTRUE, ids=str)
async def test_an_info_that_cannot_be_true_is_refused_and_no_input_becomes_a_dead_letter(
    facts: dict[str, object],
) -> None:
    async with OddServer() as odd, DataPlane(odd.settings, name="test") as plane:
        fate = Fate()
        plane.publish(b"a", b"NATS/1.0\r\n\r\n", b"x" * 1000, fate)
        honest = odd.greeting
        for _ in range(2):
            assert odd.writer is not None
            lie = b"INFO " + json.dumps(facts).encode() + b"\r\n"
            odd.writer.write(lie)  # while it is connected
            odd.greeting = lie  # and when it connects again
            await eventually(lambda: "INFO is not valid" in plane.problem)
            plane.publish(b"b", b"NATS/1.0\r\n\r\n", b"x" * 1000, fate)
            assert not fate.told.done(), "it waits"
            odd.greeting = honest
            await eventually(lambda: not plane.problem)
        assert plane.publishes.max_payload == 1 << 20
        assert len(plane.publishes) == 3


async def test_an_info_that_cannot_be_true_is_named_by_the_control_plane() -> None:
    async with OddServer(max_payload=-1) as odd:
        with pytest.raises(BrokerError, match=r"INFO is not valid: .*max_payload"):
            await ControlPlane.connect(odd.settings, name="test")


async def test_nats_py_introduces_itself_to_nobody() -> None:
    """Its own CONNECT would be a second one, and its own PING would be answered twice."""
    async with OddServer() as odd, await ControlPlane.connect(odd.settings, name="test") as control:
        await control.subscribe("x", remembering([]))
        await eventually(lambda: b"SUB x" in odd.read)
        assert odd.read.count(b"CONNECT") == 1
        assert bytes(odd.read).index(wire.PING) < bytes(odd.read).index(b"SUB x")
        assert odd.read.count(wire.PING) == 1
