"""Who we are and what we may: every way to prove it, right and wrong, on both planes."""

# ruff: noqa: S106 - the passwords are those of brokers that live for one test
from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from nats.aio.client import Client

from jetmesh.errors import BrokerError, SettingsError
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.stream import Stream
from tests.certificates import Certificates
from tests.integration.identities import (
    Configured,
    Key,
    Operator,
    at,
    rewrite,
)
from tests.integration.planes import (
    both,
    check_works,
    echo,
    problem_of,
    settings_of,
)


@dataclass
class Proof:
    """One way to prove who we are."""

    server: str
    """The configuration of a server that takes the right proof."""
    right: NatsSettings
    wrong: NatsSettings
    amend: Callable[[Broker], None]
    """Make the wrong proof a right one, while everything runs."""


def _password(_: Path) -> Proof:
    def server(password: str) -> str:
        return f"authorization {{ user: svc, password: '{password}' }}\n"

    return Proof(
        server("s3cret"),
        NatsSettings(user="svc", password="s3cret"),
        NatsSettings(user="svc", password="other"),
        lambda broker: rewrite(broker, server("other")),
    )


def _password_file(path: Path) -> Proof:
    right, wrong = path / "right.password", path / "wrong.password"
    right.write_text("s3cret\n")
    wrong.write_text("other\n")

    def amend(_: Broker) -> None:
        wrong.write_text("s3cret\n")

    return Proof(
        _password(path).server,
        NatsSettings(user="svc", password_file=str(right)),
        NatsSettings(user="svc", password_file=str(wrong)),
        amend,
    )


def _token(_: Path) -> Proof:
    return Proof(
        "authorization { token: right }\n",
        NatsSettings(token="right"),
        NatsSettings(token="wrong"),
        lambda broker: rewrite(broker, "authorization { token: wrong }\n"),
    )


def _nkey(path: Path) -> Proof:
    right, wrong = Key(), Key()
    for name, key in (("right", right), ("wrong", wrong)):
        (path / name).write_text(f"{key.seed}\n")

    def server(key: Key) -> str:
        return f"authorization {{ users: [{{ nkey: {key.public} }}] }}\n"

    return Proof(
        server(right),
        NatsSettings(nkey_seed_file=str(path / "right")),
        NatsSettings(nkey_seed_file=str(path / "wrong")),
        lambda broker: rewrite(broker, server(wrong)),
    )


def _creds(path: Path) -> Proof:
    operator = Operator()
    right, wrong = path / "right.creds", path / "wrong.creds"
    right.write_text(operator.creds())
    wrong.write_text(Operator().creds())

    def amend(_: Broker) -> None:
        wrong.write_text(operator.creds())

    return Proof(
        operator.config,
        NatsSettings(creds_file=str(right)),
        NatsSettings(creds_file=str(wrong)),
        amend,
    )


@pytest.mark.parametrize("way", [_password, _password_file, _token, _nkey, _creds])
async def test_a_right_proof_is_taken_on_both_planes(
    way: Callable[[Path], Proof], configured: Configured, tmp_path: Path
) -> None:
    proof = way(tmp_path)
    broker = configured(proof.server)
    await check_works(at(proof.right, broker))


@pytest.mark.parametrize("way", [_password, _password_file, _token, _nkey, _creds])
async def test_a_wrong_proof_is_named_and_tried_until_it_is_right(
    way: Callable[[Path], Proof],
    configured: Configured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jetmesh.transport.session._CONNECT_SECONDS", 60)
    proof = way(tmp_path)
    broker = configured(proof.server)
    nats = at(proof.wrong, broker)
    plane = DataPlane(nats, name="test")
    connecting = asyncio.create_task(plane.connect())
    patient = asyncio.create_task(ControlPlane.connect(nats, name="test", patient=True))
    async with asyncio.timeout(20):  # it does not wait for what will not come
        with pytest.raises(BrokerError, match="Authorization Violation"):
            await ControlPlane.connect(nats, name="test")
    await eventually(lambda: "Authorization Violation" in plane.problem)
    assert not patient.done()
    proof.amend(broker)
    await asyncio.wait_for(connecting, 10)
    control = await asyncio.wait_for(patient, 10)
    assert plane.problem == control.problem == ""
    await plane.close()
    await control.close()


async def test_no_proof_at_all_is_refused_too(configured: Configured) -> None:
    broker = configured("authorization { token: right }\n")
    with pytest.raises(BrokerError, match="Authorization Violation"):
        await ControlPlane.connect(settings_of(broker), name="test")


async def test_a_password_that_changes_under_a_running_service_is_waited_for(
    configured: Configured,
) -> None:
    """The server throws its users out; both planes come back when theirs is taken again."""
    broker = configured(_password(Path()).server)
    async with both(at(_password(Path()).right, broker)) as (plane, control):
        rewrite(broker, "authorization { user: svc, password: 'new' }\n")
        await eventually(lambda: "Authorization Violation" in plane.problem)
        await eventually(lambda: control.problem)
        rewrite(broker, _password(Path()).server)
        await eventually(lambda: not plane.problem and not control.problem)
        await control.api("INFO")


async def test_a_password_that_changes_in_its_file_needs_no_restart(
    configured: Configured, tmp_path: Path
) -> None:
    """So pods of Kubernetes have it: the file follows the Secret."""
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    broker = configured(_password(tmp_path).server)
    nats = NatsSettings(user="svc", password_file=str(file))
    async with both(at(nats, broker)) as (plane, control):
        rewrite(broker, "authorization { user: svc, password: 'new' }\n")
        await eventually(lambda: "Authorization Violation" in plane.problem)
        file.write_text("new\n")
        await eventually(lambda: not plane.problem and not control.problem)
        await control.api("INFO")


async def test_expired_credentials_are_read_again(
    configured: Configured, tmp_path: Path, unique: str
) -> None:
    """The server ends the connection of an expired user; nats-py then gives up for good."""
    operator = Operator()
    file = tmp_path / "user.creds"
    file.write_text(operator.creds(seconds=2))
    broker = configured(operator.config)
    async with both(settings_of(broker, creds_file=str(file))) as (plane, control):
        closed = control._session._client
        await control.subscribe(unique, echo)
        await eventually(lambda: plane.reconnects)
        await eventually(lambda: closed.is_closed)
        await eventually(lambda: control.problem and "xpired" in plane.problem + control.problem)
        file.unlink()
        await eventually(lambda: "cannot be read" in plane.problem)
        file.write_text(operator.creds())
        await eventually(lambda: not plane.problem and not control.problem)
        assert control._session._client is not closed
        answer = await control._session.request(unique, b"", 2)
        assert answer.data == unique.encode(), "it answers again"


async def test_a_connection_that_ends_without_a_word_is_made_again(
    configured: Configured, unique: str
) -> None:
    """So nats-py ends when it is refused for good while it connects again."""
    broker = configured("")
    async with await ControlPlane.connect(settings_of(broker), name="test") as control:
        ended = control._session._client
        await control.subscribe(unique, echo)
        await ended._close(Client.CLOSED, do_cbs=False)
        await eventually(lambda: not control.problem)
        answer = await control._session.request(unique, b"", 2)
        assert answer.data == unique.encode()


async def test_an_attempt_that_came_to_nothing_leaves_no_socket_open(broker: Broker) -> None:
    """nats-py forgets a server that stops answering between its PONG and the next one."""
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="again") as control:
        client = control._session._client
        stream, server = client._transport, client._current_server
        assert isinstance(stream, Stream)
        before = stream.connection.transport
        assert server is not None
        await client._connect_to_server(server)
        assert before.is_closing()
        assert not stream.connection.transport.is_closing()


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("creds_file", ""),
        ("creds_file", "-----BEGIN NATS USER JWT-----\nx\n"),
        ("nkey_seed_file", "no seed"),
        ("nkey_seed_file", ""),
        ("tls_ca_file", "no certificate"),
        ("tls_cert_file", "no certificate"),
        ("tls_key_file", "no key, and no certificate for it"),
    ],
)
async def test_a_file_that_holds_no_proof_is_an_error_at_once(
    broker: Broker, tmp_path: Path, field: str, text: str
) -> None:
    file = tmp_path / "file"
    for content in (None, text):
        if content is not None:
            file.write_text(content)
        nats = settings_of(broker, **{field: str(file)})
        with pytest.raises(SettingsError, match=r"nats\.|seed"):
            await ControlPlane.connect(nats, name="test", patient=True)
        with pytest.raises(SettingsError, match=r"nats\.|seed"):
            await DataPlane(nats, name="test").connect()


# TLS


async def test_tls_with_a_known_authority_works(
    configured: Configured, certificates: Certificates
) -> None:
    broker = configured(certificates.config())
    nats = settings_of(broker, tls_ca_file=certificates["ca.pem"])
    await check_works(nats)
    await check_works(at(nats, broker, scheme="tls"))


async def test_tls_with_an_unknown_authority_is_refused_by_us(
    configured: Configured, certificates: Certificates
) -> None:
    broker = configured(certificates.config())
    for nats in (settings_of(broker), at(settings_of(broker), broker, scheme="tls")):
        assert "certificate verify failed" in await problem_of(nats)
        with pytest.raises(BrokerError, match="certificate verify failed"):
            await ControlPlane.connect(nats, name="test")


async def test_a_server_without_tls_is_not_trusted_with_a_password(broker: Broker) -> None:
    nats = NatsSettings(url=broker.url.replace("nats://", "tls://"), user="a", password="b")
    assert "offers no TLS" in await problem_of(nats)
    with pytest.raises(BrokerError, match="offers no TLS"):
        await ControlPlane.connect(nats, name="test")


async def test_client_certificates_are_shown_and_missing_ones_refused(
    configured: Configured, certificates: Certificates
) -> None:
    broker = configured(certificates.config(verify=True))
    known = settings_of(broker, tls_ca_file=certificates["ca.pem"])
    assert "certificate required" in (await problem_of(known)).lower().replace("_", " ")
    with pytest.raises(BrokerError, match=r"(?i)certificate.required"):
        await ControlPlane.connect(known, name="test")
    await check_works(settings_of(broker, **certificates.client))


async def test_a_server_that_comes_back_without_tls_is_not_trusted_either(
    configured: Configured, certificates: Certificates
) -> None:
    """Whoever took its place gets no password."""
    user = "authorization { user: svc, password: 's3cret' }\n"
    broker = configured(certificates.config() + user)
    nats = settings_of(broker, tls_ca_file=certificates["ca.pem"], user="svc", password="s3cret")
    async with both(nats) as (plane, control):
        for text, trusted in ((user, False), (certificates.config() + user, True)):
            assert broker.config is not None
            await asyncio.to_thread(broker.stop)
            broker.config.write_text(text)
            await asyncio.to_thread(broker.start)
            if trusted:
                await eventually(lambda: not plane.problem and not control.problem)
            else:
                await eventually(lambda: "offers no TLS" in plane.problem)
                await eventually(lambda: "offers no TLS" in control.problem)
