"""A block of headers that is none, on one message of a key: whatever tells of the key goes on."""

from __future__ import annotations

import pytest
from msgspec import Struct

from jetmesh import Record, Service, event
from jetmesh.declare import derive
from jetmesh.operate.deadletters.letter import Selector
from jetmesh.operate.deadletters.store import find, history, select
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually, mesh
from tests.integration.test_odd_messages import headed, store

BLOCKS = [b"NATS/1.0", b"N", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"NATS/1.0\r\n", b"\x00"]


@pytest.mark.parametrize("block", BLOCKS)
async def test_a_malformed_header_block_hides_no_key(
    own_broker: Broker, unique: str, block: bytes
) -> None:
    @event(f"{unique}.placed", key="id")
    class Placed(Struct, frozen=True):
        id: str

    class Board:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def apply(self, _: object, record: Record) -> None:
            self.seen.append(record.sequence)

    service = Service(f"{unique}-service")
    service.read_model(Board, events=[Placed])

    @service.on(Placed)
    def take(placed: Placed) -> None:
        """Nothing comes of it."""

    topology = derive([service])
    subject = f"{unique}.placed.p-1"
    async with mesh(service, url=own_broker.url) as m:
        await store(
            own_broker,
            [
                headed(subject, block, b'{"id":"p-1"}'),
                headed(subject, block, b"garbage"),
                headed(subject, b"NATS/1.0\r\nA: b\r\n\r\n", b'{"id":"p-1"}'),
            ],
        )
        await m.settled()
        board = m.running[service.name].injector[Board]
        await eventually(lambda: board.seen == [1, 3], what="both events")
        steps = await trace(m.control, topology, "p-1")
        assert [step.subject for step in steps].count(f"{unique}.placed") == 3
        selection = await select(m.control, Selector())
        (number,) = selection.sequences
        letter = await find(m.control, number)
        assert letter.message.payload == b"garbage"
        assert len(await history(m.control, letter)) == 1
        assert m.control.problem == ""
