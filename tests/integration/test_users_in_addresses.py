"""Users, passwords and tokens in an address: on both planes, in commands, in the clear."""

from __future__ import annotations

import asyncio
import contextlib
import json
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from jetmesh.errors import BrokerError
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from tests.certificates import Certificates
from tests.integration.command_line import jetmesh
from tests.integration.identities import Configured
from tests.integration.on_path import OnPath
from tests.integration.planes import OddServer, both, check_works, problem_of

PASSWORD = "s3cret/@:%, ü"  # noqa: S105 - that of a broker that lives for one test
LOGIN = f"svc:{quote(PASSWORD, safe='')}"
USER = f"authorization {{ user: svc, password: {json.dumps(PASSWORD, ensure_ascii=False)} }}\n"


@pytest.mark.parametrize(
    ("server", "userinfo"), [(USER, LOGIN), ('authorization { token: "t/k" }\n', "t%2Fk")]
)
@pytest.mark.parametrize("scheme", ["nats://", "NATS://", ""])
async def test_both_planes_use_them(
    configured: Configured, server: str, userinfo: str, scheme: str
) -> None:
    broker = configured(server)
    await check_works(NatsSettings(url=f"{scheme}{userinfo}@127.0.0.1:{broker.port},"))


def test_a_command_uses_them_and_prints_none(configured: Configured) -> None:
    broker = configured(USER)
    place = f"127.0.0.1:{broker.port}"
    url = f"nats://{LOGIN}@{place}"
    for said_by in (
        jetmesh("apply", "--nats-url", url),
        jetmesh("plan", "--check", url=url),
        jetmesh("deadletters", "ls", "--nats-url", f"{LOGIN}@{place}"),
        jetmesh("doctor", "--nats-url", url),
        jetmesh("settings", url=url),
    ):
        assert said_by.returncode == 0 or "No instance of" in said_by.stdout, said_by.stderr
        assert "s3cret" not in said_by.stdout + said_by.stderr
        assert "svc" not in (said_by.stdout + said_by.stderr).replace("services", "")
    refused = jetmesh("doctor", "--nats-url", f"nats://svc:wr0ng@{place}")
    assert "wr0ng" not in refused.stdout + refused.stderr
    assert "Authorization Violation" in refused.stdout


@pytest.mark.parametrize("command", [("plan",), ("doctor",), ("deadletters", "ls")])
def test_an_address_that_cannot_be_used_is_one_sentence_of_any_command(
    command: tuple[str, ...],
) -> None:
    for given in (
        jetmesh(*command, "--nats-url", "nats://u:s3 cret@h:4222"),
        jetmesh(*command, url="nats://u:s3cret/pw@h:4222"),
    ):
        assert given.returncode in (1, 2, 3)
        assert "cannot be used" in given.stderr
        assert "s3" not in given.stderr.replace("%3F", "").replace("%23", "") + given.stdout


@pytest.mark.parametrize("scheme", ["TLS", "Tls", "tls"])
async def test_tls_in_any_spelling_never_says_a_password_in_the_clear(
    configured: Configured, scheme: str
) -> None:
    broker = configured(USER)
    async with OnPath(broker.port) as path:
        nats = NatsSettings(url=f"{scheme}://{LOGIN}@127.0.0.1:{path.port}")
        assert "it offers no TLS" in await problem_of(nats)
        with pytest.raises(BrokerError, match="it offers no TLS"):
            await ControlPlane.connect(nats, name="test")
        assert path.heard
        assert path.in_the_clear == b""


async def test_inside_tls_both_planes_prove_themselves_by_the_address(
    configured: Configured, certificates: Certificates
) -> None:
    broker = configured(certificates.config(verify=True) + USER)
    async with OnPath(broker.port) as path:
        url = f"Tls://{LOGIN}@127.0.0.1:{path.port}"
        await check_works(NatsSettings(url=url, **certificates.client))
        assert b"svc" not in path.in_the_clear


async def test_each_server_hears_only_what_its_own_address_says() -> None:
    """And a server that one told of hears what that one heard."""
    async with OddServer() as third, OddServer() as second, OddServer() as first:
        told = [f"127.0.0.1:{third.port}"]
        first.greeting = b"INFO " + json.dumps({"connect_urls": told}).encode() + b"\r\n"
        urls = f"nats://one:p1@127.0.0.1:{first.port},nats://tok2@127.0.0.1:{second.port}"
        async with both(NatsSettings(url=urls, user="three", password="p3")):  # noqa: S106 - made up
            first._server.close()
            first.drop()
            await eventually(lambda: second.connections == 2)
            second._server.close()
            second.drop()
            await eventually(lambda: third.connections == 2)
        heard = [bytes(each.read) for each in (first, second, third)]
    assert all(b'"user":"one","pass":"p1"' in said for said in (heard[0], heard[2]))
    assert b'"auth_token":"tok2"' in heard[1]
    assert b"p1" not in heard[1]
    assert b"tok2" not in heard[0] + heard[2]
    assert not any(b"three" in said for said in heard)


async def test_no_log_line_of_a_connection_holds_a_password(configured: Configured) -> None:
    broker: Broker = configured(USER)
    nats = NatsSettings(url=f"nats://svc:wr0ng@127.0.0.1:{broker.port}")
    with capture_logs() as logs:
        plane = DataPlane(nats, name="test")
        waiting = [
            asyncio.create_task(plane.connect()),
            asyncio.create_task(ControlPlane.connect(nats, name="test", patient=True)),
        ]
        await eventually(lambda: len(logs) >= 2)
        for task in waiting:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await plane.close()
    assert "Authorization Violation" in repr(logs)
    assert "wr0ng" not in repr((logs, plane._servers, plane._nats, [*plane._servers]))
