"""The data plane against nats-py: what one sends the other reads, and its odd connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from time import monotonic
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg

from jetmesh import wire
from jetmesh.errors import BrokerError, BrokerUnreachable, SettingsError
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.stored import StoredMessage
from tests.integration.planes import (
    Fate,
    OddServer,
    both,
    make_durable,
    make_stream,
    publish,
    settings_of,
)

PAYLOADS = [
    b"{}",
    b"",
    bytes(range(256)) * 8,
    b"\r\nMSG x 1 2\r\n",
    "grüße 🍵".encode(),
    b"x" * 900 * 1024,
]
SUBJECTS = ["plain", "a.b.c", "$dollar", "ünïcode", "x" * 200, "a%20b", "under_score-dash"]


async def test_what_the_data_plane_sends_nats_py_reads(broker: Broker, unique: str) -> None:
    headers = {"Nats-Msg-Id": "1", "X-Name": "Sample Customer", "X-Empty": "", "X-Odd": "ü: b"}
    async with both(settings_of(broker)) as (plane, control), await nats.connect(broker.url) as nc:
        await make_stream(control, unique.upper(), f"{unique}.>")
        received: list[Msg] = []

        async def on_message(message: Msg) -> None:
            received.append(message)

        await nc.subscribe(f"{unique}.>", cb=on_message)
        await nc.subscribe(f"{unique}-ready", cb=on_message)
        await nc.publish(f"{unique}-ready", b"")  # a flush() may overtake the subscription
        await eventually(lambda: received, what="a subscription")
        received.clear()
        sent = [(f"{unique}.{subject}", b"{}") for subject in SUBJECTS]
        sent += [(f"{unique}.payload", payload) for payload in PAYLOADS]
        for number, (subject, payload) in enumerate(sent):
            block = wire.block({**headers, "Nats-Msg-Id": str(number)})
            assert await publish(plane, subject, payload, block) == "stored"
        await eventually(lambda: len(received) == len(sent))
        assert [(m.subject, m.data) for m in received] == sent
        assert {**headers, "Nats-Msg-Id": "3"} == received[3].headers
        stored = [m async for m in control.history(unique.upper(), [])]
        assert [(m.subject, m.payload) for m in stored] == sent
        assert stored[3].message_id == "3"


async def test_what_nats_py_sends_the_data_plane_reads(broker: Broker, unique: str) -> None:
    async with both(settings_of(broker)) as (plane, control):
        await make_stream(control, unique.upper(), f"{unique}.>")
        await make_durable(control, unique.upper(), "d")
        received: list[tuple[str, bytes, dict[str, str]]] = []

        def on_delivery(subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
            values = wire.parse(headers).values if headers else {}
            received.append((subject.decode(), payload, values))
            plane.ack(reply)
            pull.settled()

        pull = plane.inflow(unique.upper(), "d", limit=2, on_delivery=on_delivery)
        pull.start()
        sent: list[tuple[str, bytes, dict[str, str]]] = []
        sent += [(f"{unique}.{subject}", b"{}", {}) for subject in SUBJECTS]
        sent += [(f"{unique}.payload", payload, {"X-A": "ü", "X-B": ""}) for payload in PAYLOADS]
        for subject, payload, headers in sent:
            await control.publish(subject, payload, headers)
        await eventually(lambda: len(received) == len(sent))
        assert received == sent


async def test_a_duplicate_and_a_decided_key_are_told_apart(broker: Broker, unique: str) -> None:
    async with both(settings_of(broker)) as (plane, control):
        await make_stream(control, unique.upper(), f"{unique}.>")
        guard = {
            "Nats-Expected-Last-Subject-Sequence": "0",
            "Nats-Expected-Last-Subject-Sequence-Subject": f"{unique}.*.p-1",
        }
        first = wire.block({"Nats-Msg-Id": "1", **guard})
        assert await publish(plane, f"{unique}.paid.p-1", b"{}", first) == "stored"
        assert await publish(plane, f"{unique}.paid.p-1", b"{}", first) == "decided"
        other = wire.block({"Nats-Msg-Id": "2", **guard})
        assert await publish(plane, f"{unique}.declined.p-1", b"{}", other) == "decided"
        plain = wire.block({"Nats-Msg-Id": "3"})
        assert await publish(plane, f"{unique}.told.p-1", b"{}", plain) == "stored"
        assert await publish(plane, f"{unique}.told.p-1", b"{}", plain) == "duplicate of 2"
        assert len([m async for m in control.history(unique.upper(), [])]) == 2


async def test_what_can_never_be_stored_is_told_at_once(broker: Broker, unique: str) -> None:
    async with both(settings_of(broker)) as (plane, control):
        await make_stream(control, unique.upper(), f"{unique}.>", max_msg_size=1000)
        assert "maximum allowed" in await publish(plane, f"{unique}.a", b"x" * 2000)
        assert "max_payload" in await publish(plane, f"{unique}.a", b"x" * (1 << 20))
        many = wire.block({"X": "x" * 66_000})
        assert (await publish(plane, f"{unique}.a", b"", many)).startswith("impossible")
        assert plane.reconnects == 0


async def test_a_subject_without_a_stream_waits_for_one_and_says_so(
    broker: Broker, unique: str
) -> None:
    async with both(settings_of(broker)) as (plane, control):
        fate = Fate()
        plane.publish(f"{unique}.a".encode(), b"NATS/1.0\r\n\r\n", b"{}", fate)
        await eventually(lambda: plane.problem)
        assert plane.problem == f"publishing: {unique}.a: no stream takes it (503)"
        await make_stream(control, unique.upper(), f"{unique}.>")
        assert await asyncio.wait_for(fate.told, 5) == "stored"
        await eventually(lambda: not plane.problem)


async def is_settled(control: ControlPlane, durable: str) -> bool:
    """A verdict that arrived is counted a little later."""
    info = await control.api(f"CONSUMER.INFO.{durable}")
    return bool(info["num_ack_pending"] == 0)


async def test_verdicts_reach_the_server(broker: Broker, unique: str) -> None:
    """Ack, retry with its delay, progress, terminate: as the durable counts them."""
    async with both(settings_of(broker)) as (plane, control):
        await make_stream(control, unique.upper(), f"{unique}.>")
        await make_durable(control, unique.upper(), "d", ack_wait=1)
        arrived: list[tuple[int, int, float, bytes]] = []
        clock = asyncio.get_running_loop().time

        def on_delivery(_: bytes, reply: bytes, __: bytes, payload: bytes) -> None:
            fields = reply.split(b".")
            arrived.append((int(fields[5]), int(fields[4]), clock(), reply))
            if payload == b"retry" and fields[4] == b"1":
                plane.retry(reply, 0.3)
            elif payload == b"terminate":
                plane.terminate(reply, "never again")
            elif payload != b"progress":
                plane.ack(reply)
            pull.settled()

        async def prolong() -> None:
            while True:
                await asyncio.sleep(0.1)
                for sequence, _, __, reply in arrived:
                    if sequence == 4:
                        plane.progress(reply)

        prolonging = asyncio.create_task(prolong())
        pull = plane.inflow(unique.upper(), "d", limit=10, on_delivery=on_delivery)
        pull.start()
        for payload in (b"ack", b"retry", b"terminate", b"progress"):
            await control.publish(f"{unique}.a", payload)
        await eventually(lambda: len(arrived) == 5)
        retried = [a for a in arrived if a[0] == 2]
        assert [a[1] for a in retried] == [1, 2]
        assert retried[1][2] - retried[0][2] > 0.25
        long = next(a for a in arrived if a[0] == 4)
        await eventually(lambda: clock() - long[2] > 2, what="twice its ack_wait")
        prolonging.cancel()
        plane.ack(long[3])
        await eventually(lambda: is_settled(control, f"{unique.upper()}.d"))
        assert len(arrived) == 5


async def test_several_servers_are_tried_in_turn(broker: Broker) -> None:
    url = f"nats://127.0.0.1:{free_port()},{broker.url}"
    async with both(NatsSettings(url=url)) as (plane, control):
        assert plane.problem == control.problem == ""
        await control.api("INFO")


async def test_without_a_server_both_planes_say_where_they_looked_and_wait(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    nats_settings = settings_of(broker)
    plane = DataPlane(nats_settings, name="test")
    connecting = asyncio.create_task(plane.connect())
    patient = asyncio.create_task(ControlPlane.connect(nats_settings, name="test", patient=True))
    await eventually(lambda: "nothing is listening" in plane.problem)
    assert str(broker.port) in plane.problem
    with pytest.raises(BrokerUnreachable, match=str(broker.port)):
        await ControlPlane.connect(nats_settings, name="test")
    assert not connecting.done()
    assert not patient.done()
    await asyncio.to_thread(broker.start)
    await asyncio.wait_for(connecting, 5)
    await (await asyncio.wait_for(patient, 5)).close()
    await plane.close()
    broker.stop()


async def test_a_connection_attempt_can_be_cancelled() -> None:
    async with OddServer() as silent:
        silent.reading.clear()
        plane = DataPlane(silent.settings, name="test")
        connecting = asyncio.create_task(plane.connect())
        await eventually(lambda: silent.connections)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await plane.close()


@pytest.mark.parametrize(
    "talk",
    [
        lambda server: server.writer.close(),
        lambda server: (
            server.writer.write(b"-ERR 'Maximum Connections Exceeded'\r\n") or server.writer.close()
        ),
        lambda server: server.writer.write(b"INFO []\r\n"),
        lambda server: server.writer.write(b"INFO {no json\r\n"),
        lambda server: server.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ],
)
async def test_a_server_that_hangs_up_right_after_its_pong_is_tried_again_with_pauses(
    talk: Callable[[OddServer], Any],
) -> None:
    async with OddServer(talk) as odd:
        plane = DataPlane(odd.settings, name="test")
        began = monotonic()
        trying = asyncio.create_task(plane.connect())
        await eventually(lambda: odd.connections >= 3)
        assert plane.problem
        await eventually(lambda: odd.connections >= 6)
        assert monotonic() - began > 0.5, "it does not spin"
        odd._talk = None
        await eventually(lambda: not plane.problem)
        await trying
        await plane.close()


async def test_addresses_told_by_a_server_are_used_and_odd_ones_passed_over() -> None:
    async with OddServer() as second:
        urls = ["::::", "", f"127.0.0.1:{second.port}"]
        async with (
            OddServer(connect_urls=urls) as first,
            DataPlane(first.settings, name="test") as plane,
        ):
            first._server.close()
            assert first.writer is not None
            first.writer.transport.abort()
            await eventually(lambda: second.connections == 1 and not plane.problem)


async def test_a_congested_connection_asks_for_nothing_new() -> None:
    """What is on its way out is more than the socket takes: first that, then new deliveries."""
    async with OddServer() as slow, DataPlane(slow.settings, name="test") as plane:
        pull = plane.inflow("S", "d", limit=10, on_delivery=lambda *_: None)
        slow.reading.clear()
        for _ in range(24):
            plane.publish(b"a", b"NATS/1.0\r\n\r\n", b"x" * 1_000_000, Fate())
        await eventually(lambda: plane._link is not None and plane._link.congested)
        pull.start()
        await asyncio.sleep(0)
        slow.reading.set()
        await eventually(lambda: b"MSG.NEXT.S.d" in slow.read)
        assert slow.read.count(b"HPUB a ") == 24
        assert slow.read.index(b"MSG.NEXT.S.d") > slow.read.rindex(b"HPUB a ")
        assert slow.read.count(b"MSG.NEXT.S.d") == 1


async def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="cannot be used"):
        DataPlane(NatsSettings(url="http://x"), name="test")


async def test_what_is_no_nats_server_is_told_apart(unique: str) -> None:
    async with OddServer() as odd:
        odd.greeting = b"SSH-2.0-OpenSSH_9.6\r\n"
        with pytest.raises(BrokerError, match="does not speak NATS"):
            await ControlPlane.connect(odd.settings, name="test")
        plane = DataPlane(odd.settings, name="test")
        trying = asyncio.create_task(plane.connect())
        await eventually(lambda: "does not speak NATS" in plane.problem)
        await plane.close()
        with pytest.raises(asyncio.CancelledError):
            await trying


@pytest.mark.parametrize("empty", [1, 2, 3])
async def test_a_reader_that_delivers_nothing_is_made_again(
    broker: Broker, unique: str, monkeypatch: pytest.MonkeyPatch, empty: int
) -> None:
    """Under load it may be asked before it is there; three in a row are a broker that is silent."""
    real, readers = ControlPlane._pages, 0

    async def pages(
        self: ControlPlane, stream: str, reader: str, count: int
    ) -> AsyncGenerator[StoredMessage, None]:
        nonlocal readers
        readers += 1
        if readers > empty:
            async for message in real(self, stream, reader, count):
                yield message

    monkeypatch.setattr(ControlPlane, "_pages", pages)
    async with await ControlPlane.connect(settings_of(broker), name="test") as control:
        await make_stream(control, unique.upper(), f"{unique}.>")
        await control.publish(f"{unique}.a", b"{}")
        reading = control.history(unique.upper(), [])
        if empty == 3:
            with pytest.raises(BrokerError, match="no answer"):
                [m async for m in reading]
        else:
            assert [m.subject async for m in reading] == [f"{unique}.a"]
