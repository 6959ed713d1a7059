"""Whole streams are read fast, in order, each message once; nothing that is read is changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jetmesh import wire
from jetmesh.errors import BrokerError
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport.bulk import BulkReader
from jetmesh.transport.control import ControlPlane

Found = list[tuple[int, bytes, bytes, bytes]]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Broker]:
    """One that a test may end."""
    with Broker(tmp_path / "nats") as started:
        yield started


@asynccontextmanager
async def reading(
    broker: Broker, stream: str, **config: object
) -> AsyncIterator[tuple[ControlPlane, BulkReader]]:
    nats = NatsSettings(url=broker.url)
    async with await ControlPlane.connect(nats, name="test") as control:
        subjects = [f"{stream.lower()}.>"]
        body = {"name": stream, "subjects": subjects, "allow_direct": True, **config}
        await control.api(f"STREAM.CREATE.{stream}", body)
        async with BulkReader(nats, control, name="test bulk") as bulk:
            yield control, bulk


async def test_every_message_comes_once_in_order_as_it_was_stored(
    broker: Broker, unique: str
) -> None:
    async with reading(broker, unique.upper()) as (control, bulk):
        headers = {"Nats-Stream": "FORGED", "Traceparent": "00-1"}
        await control.publish(f"{unique}.a", b"")
        await control.publish(f"{unique}.b.k", b"{}", headers)
        for number in range(6000):
            await control.publish(f"{unique}.c", b"%d" % number)
        for gone in (3, 700, 5000):
            await control.api(f"STREAM.MSG.DELETE.{unique.upper()}", {"seq": gone})
        found: Found = []
        await bulk.read(unique.upper(), lambda *each: found.append(each), first=1, last=6002)
        assert [each[0] for each in found] == [n for n in range(1, 6003) if n not in (3, 700, 5000)]
        assert found[0][1:] == (f"{unique}.a".encode(), b"NATS/1.0\r\n\r\n", b"")
        assert found[1][1] == f"{unique}.b.k".encode()
        assert wire.parse(found[1][2]).values == headers
        assert found[2][3] == b"1"
        found.clear()
        await bulk.read(unique.upper(), lambda *each: found.append(each), first=5999, last=6000)
        assert [each[0] for each in found] == [5999, 6000]


async def test_what_was_removed_at_the_end_is_not_waited_for(broker: Broker, unique: str) -> None:
    async with reading(broker, unique.upper()) as (control, bulk):
        for _ in range(5):
            await control.publish(f"{unique}.a", b"{}")
        for gone in (4, 5):
            await control.api(f"STREAM.MSG.DELETE.{unique.upper()}", {"seq": gone})
        found: Found = []
        await bulk.read(unique.upper(), lambda *each: found.append(each), first=1, last=5)
        assert [each[0] for each in found] == [1, 2, 3]


async def test_messages_larger_than_a_batch_may_be_are_read_alone(
    own: Broker, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetmesh.transport.bulk._BATCH_BYTES", 1000)
    async with reading(own, unique.upper()) as (control, bulk):
        for size in (10, 50_000, 10, 20):
            await control.publish(f"{unique}.a", b"x" * size)
        found: Found = []
        await bulk.read(unique.upper(), lambda *each: found.append(each), first=1, last=4)
        assert [len(each[3]) for each in found] == [10, 50_000, 10, 20]


async def test_a_stream_that_is_not_there_or_may_not_be_read_is_one_sentence(
    broker: Broker, unique: str
) -> None:
    async with reading(broker, unique.upper(), allow_direct=False) as (control, bulk):
        await control.publish(f"{unique}.a", b"{}")
        with pytest.raises(BrokerError, match=f"{unique.upper()} cannot be read: "):
            await bulk.read(unique.upper(), lambda *_: None, first=1, last=1)


async def test_what_a_callback_raises_comes_out(broker: Broker, unique: str) -> None:
    async with reading(broker, unique.upper()) as (control, bulk):
        await control.publish(f"{unique}.a", b"{}")

        def refuse(*_: object) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await bulk.read(unique.upper(), refuse, first=1, last=1)


async def test_a_broker_that_goes_away_in_the_middle_is_an_error(own: Broker, unique: str) -> None:
    async with reading(own, unique.upper()) as (control, bulk):
        for _ in range(10):
            await control.publish(f"{unique}.a", b"{}")
        ended: list[int] = []

        def end(sequence: int, *_: object) -> None:
            if not ended:
                own.stop()
            ended.append(sequence)

        with pytest.raises(BrokerError, match="connection to the broker was lost"):
            async with asyncio.timeout(30):
                await bulk.read(unique.upper(), end, first=1, last=1_000_000)
