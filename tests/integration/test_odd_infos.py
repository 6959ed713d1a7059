"""What a server says of itself, first or later, however long or odd: on both planes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from jetmesh import wire
from jetmesh.errors import BrokerError
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from tests.certificates import Certificates
from tests.integration.planes import OddServer, both, problem_of
from tests.integration.tls_server import TlsServer

MANY = [f"10.9.{n // 250}.{n % 250}:4222" for n in range(3000)]
"""95 KB, none of which is ever connected to."""
HUGE = MANY * 35
NULLS = dict.fromkeys(
    [
        "server_name",
        "version",
        "cluster",
        "max_payload",
        "connect_urls",
        "ldm",
        "nonce",
        "tls_required",
        "other",
    ]
)
WRONG: list[bytes] = [
    b'{"connect_urls":[null]}',
    b'{"connect_urls":7}',
    b'{"max_payload":"1"}',
    b'{"server_name":[]}',
    b'{"ldm":0}',
    b"null",
    b"[]",
    b"{",
    b"\xff",
    b"[" * 100_000,
]


def info(facts: dict[str, Any]) -> bytes:
    return b"INFO " + json.dumps(facts).encode() + b"\r\n"


@pytest.mark.parametrize("facts", [{"connect_urls": MANY}, {"connect_urls": HUGE}, NULLS])
async def test_the_first_may_be_long_and_hold_nulls(facts: dict[str, Any]) -> None:
    async with OddServer() as odd:
        odd.greeting = info(facts)
        async with both(odd.settings) as (plane, control):
            await control.subscribe("a", _nobody)
            await eventually(lambda: b"SUB a" in odd.read)
            assert plane.problem == control.problem == ""
            assert plane.publishes.max_payload == 1 << 20


@pytest.mark.parametrize("facts", [{"connect_urls": MANY}, {"connect_urls": HUGE}, NULLS])
async def test_a_later_one_may_be_long_and_hold_nulls_without_ending_a_connection(
    facts: dict[str, Any],
) -> None:
    async with OddServer() as odd, both(odd.settings) as (plane, control):
        for writer in odd._writers:
            writer.write(info(facts) + info({**facts, "max_payload": 77, "server_name": "new"}))
        await eventually(lambda: plane.publishes.max_payload == 77)
        await eventually(lambda: control._session.info.server_name == "new")
        await control.subscribe("a", _nobody)
        await eventually(lambda: b"SUB a" in odd.read)
        assert odd.connections == 2


async def test_a_long_one_is_read_inside_tls_too(certificates: Certificates) -> None:
    server = TlsServer(certificates)
    server.inside = {"connect_urls": MANY, "max_payload": 99}
    async with server, DataPlane(server.settings, name="test") as plane:
        assert plane.publishes.max_payload == 99


@pytest.mark.parametrize("said", WRONG, ids=lambda said: said[:20].decode(errors="replace"))
async def test_a_wrong_first_one_is_named_and_tried_again(said: bytes) -> None:
    async with OddServer() as odd:
        odd.greeting = b"INFO " + said + b"\r\n"
        assert "INFO is not valid" in await problem_of(odd.settings)
        with pytest.raises(BrokerError, match="INFO is not valid"):
            await ControlPlane.connect(odd.settings, name="test")


@pytest.mark.parametrize("said", WRONG, ids=lambda said: said[:20].decode(errors="replace"))
async def test_a_wrong_later_one_is_named_and_the_connection_made_again(said: bytes) -> None:
    async with OddServer() as odd, both(odd.settings) as (plane, control):
        await control.subscribe("a", _nobody)
        honest, odd.greeting = odd.greeting, b"INFO {}nonsense\r\n"
        for writer in odd._writers:
            writer.write(b"INFO " + said + b"\r\n")
        await eventually(lambda: "INFO is not valid" in plane.problem)
        await eventually(lambda: "INFO is not valid" in control.problem)
        odd.greeting = honest
        before = bytes(odd.read).count(b"SUB a")
        await eventually(lambda: not plane.problem and not control.problem)
        await eventually(lambda: bytes(odd.read).count(b"SUB a") > before)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"-ERR\r\n", "an error without a text"),
        (b"-ERR 'Slow Consumer \xff'\r\n", "Slow Consumer"),
        (b"-ERR Stale\r\n", "Stale"),
        (b"-ERR 'User Authentication Revoked'\r\n", "User Authentication Revoked"),
        (b"HTTP/1.1 400\r\n", "does not speak NATS"),
        (b"MSG a\r\n", "does not speak NATS"),
    ],
)
async def test_what_ended_the_control_connection_is_said_and_it_comes_back(
    said: bytes, problem: str
) -> None:
    async with (
        OddServer() as odd,
        await ControlPlane.connect(odd.settings, name="test") as control,
    ):
        honest, odd.greeting = odd.greeting, b"INFO {}nonsense\r\n"
        assert odd.writer is not None
        with capture_logs() as logs:
            odd.writer.write(said)
            await eventually(lambda: problem in control.problem)
            odd.greeting = honest
            await eventually(lambda: not control.problem)
        closed = [line for line in logs if line["event"] == "control connection closed"]
        assert all(problem in line["reason"] for line in closed)
        await control.subscribe("a", _nobody)
        await eventually(lambda: b"SUB a" in odd.read)


async def test_a_limit_that_changes_counts_from_then_on() -> None:
    async with (
        OddServer() as odd,
        await ControlPlane.connect(odd.settings, name="test") as control,
    ):
        assert odd.writer is not None
        odd.writer.write(info({"max_payload": 77}))
        await eventually(lambda: control.max_payload == 77)
        with pytest.raises(BrokerError, match=r"a: 100 bytes are more than .* 77"):
            await control.publish("a", b"x" * 100)
        odd.writer.write(info({"max_payload": 4 << 20}))
        await eventually(lambda: control.max_payload == 4 << 20)
        await control._session.publish("a", b"x" * (2 << 20))
        await eventually(lambda: len(odd.read) > 2 << 20)


async def test_a_line_without_an_end_is_refused() -> None:
    async with OddServer() as odd:
        odd.greeting = b"INFO " + b"x" * wire.MAX_LINE
        assert "a control line is longer" in await problem_of(odd.settings)
        odd.greeting = b'INFO {"max_payload":1000}\r\n'
        async with both(odd.settings) as (plane, control):
            odd.greeting = b"INFO {}nonsense\r\n"
            for writer in odd._writers:
                writer.write(b"INFO " + b"x" * wire.MAX_LINE)
            await eventually(lambda: "a control line is longer" in plane.problem)
            await eventually(lambda: "a control line is longer" in control.problem)


async def _nobody(_: str) -> bytes:
    await asyncio.sleep(0)
    return b""
