"""Who answers the doctor in another language is passed over, and ends nothing."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from jetmesh.operate.asking.instances import instances
from jetmesh.operate.doctor.facts import FailedQuery
from jetmesh.operate.doctor.monitoring import server_statuses
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.session import Session

NONSENSE = [b"no JSON", b'{"name": "\xff"}', b"[" * 100_000, b"[]"]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=range(len(NONSENSE)))
async def test_an_instance_that_answers_nonsense_is_none(broker: Broker, nonsense: bytes) -> None:
    settings = NatsSettings(url=broker.url)

    async def answer(_: str) -> bytes:
        return nonsense

    session = Session(settings, "doctor")
    await session.connect(patient=False)
    async with await ControlPlane.connect(settings, name="stranger") as stranger:
        await stranger.subscribe("$SRV.STATS", answer)
        try:
            assert await instances(session, {"payments"}) == ()
        finally:
            await session.close()


@pytest.mark.parametrize("nonsense", NONSENSE, ids=range(len(NONSENSE)))
async def test_a_monitoring_port_that_answers_nonsense_is_named(nonsense: bytes) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(nonsense)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        statuses, [failed] = await server_statuses([url])
        server.shutdown()
    assert statuses == ()
    assert isinstance(failed, FailedQuery)
    assert failed.what == f"the monitoring port {url}"
