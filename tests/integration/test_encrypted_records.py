"""TLS record by record: however they are cut or joined, every message is read once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually
from jetmesh.transport.dataplane import DataPlane
from tests.certificates import Certificates
from tests.integration.network import Proxy
from tests.integration.planes import (
    Copier,
    Scene,
    both,
)
from tests.integration.secured import Ear, through
from tests.integration.tls_server import TlsServer


def message(server: TlsServer, payload: bytes) -> bytes:
    _, sid = server.inbox()
    reply = b"$JS.ACK.S.d.1.1.1.1700000000000000000.0"
    return b"MSG s.x %b %b %d\r\n%b\r\n" % (sid, reply, len(payload), payload)


@asynccontextmanager
async def listening(server: TlsServer) -> AsyncIterator[Ear]:
    async with DataPlane(server.settings, name="test") as plane:
        ear = Ear(plane)
        await eventually(lambda: b"MSG.NEXT.S.d" in server.read)
        yield ear


async def test_two_records_of_one_chunk_are_two_messages(certificates: Certificates) -> None:
    async with TlsServer(certificates) as server, listening(server) as ear:
        server.send(
            server.record(message(server, b"ALICE")) + server.record(message(server, b"BOBBY"))
        )
        await eventually(lambda: len(ear.heard) == 2)
        assert ear.heard == [b"ALICE", b"BOBBY"]


async def test_records_split_at_every_byte_are_the_same_messages(
    certificates: Certificates,
) -> None:
    async with TlsServer(certificates) as server, listening(server) as ear:
        sent: list[bytes] = []
        cut = 1
        while True:
            names = [b"%d-%d" % (cut, number) for number in range(3)]
            chunk = b"".join(server.record(message(server, name)) for name in names)
            if cut >= len(chunk):
                break
            for part in (chunk[:cut], chunk[cut:]):
                server.send(part)
                for _ in range(4):  # on loopback it is there at once: let it be read
                    await asyncio.sleep(0)
            sent += names
            cut += 1
        server.send(chunk)
        await eventually(lambda: len(ear.heard) == len(sent) + 3)
        assert ear.heard == sent + names
        assert cut > 200


@pytest.mark.parametrize(("size", "count"), [(1, 100), (7, 500), (1400, 3000)])
async def test_a_real_server_in_small_pieces_loses_and_doubles_nothing(
    secured: Broker, certificates: Certificates, unique: str, size: int, count: int
) -> None:
    async with (
        Proxy(secured.port) as proxy,
        both(through(proxy.port, certificates)) as (plane, control),
    ):
        scene = Scene(unique, plane, control)
        copier = await scene.make()
        proxy.piece = size
        await scene.fill(count)
        await scene.check_all_copied_once(copier, count)
        assert plane.reconnects == 0


def has_copied(copier: Copier, count: int) -> bool:
    return len(copier.copied) >= count


async def test_what_was_held_back_and_comes_at_once_loses_and_doubles_nothing(
    secured: Broker, certificates: Certificates, unique: str
) -> None:
    """Many records in each chunk, as after a pause of the network or of this process."""
    async with (
        Proxy(secured.port) as proxy,
        both(through(proxy.port, certificates)) as (plane, control),
    ):
        scene = Scene(unique, plane, control)
        copier = await scene.make(limit=2000)
        filling = asyncio.create_task(scene.fill(3000))
        for part in range(1, 5):
            await eventually(partial(has_copied, copier, part * 500))
            proxy.cut("hold")
            await asyncio.sleep(0.1)  # the pause of the network itself
            proxy.heal()
        await filling
        await scene.check_all_copied_once(copier, 3000)
        assert plane.reconnects == 0
