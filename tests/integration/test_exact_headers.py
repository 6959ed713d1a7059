"""What others wrote into headers stays as it was, on lanes, in letters and after a replay."""

from __future__ import annotations

import base64
import json

import pytest

from jetmesh import Delivery
from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.deadletters.export import lines
from jetmesh.operate.deadletters.letter import Selector
from jetmesh.operate.deadletters.payload import header
from jetmesh.operate.deadletters.store import find, select
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import Mesh, eventually
from tests.integration.one_handler import working
from tests.integration.test_odd_messages import headed, store

LATIN = b"caf\xe9 \xff"
BLOCK = b"NATS/1.0\r\nX-Name: %b\r\nA(b): \xe2\x80\xaec\r\n\r\n" % LATIN


async def raw(m: Mesh, stream: str, sequence: int) -> bytes:
    """The block of headers that is stored."""
    found = await m.control.api(f"STREAM.MSG.GET.{stream}", {"seq": sequence})
    return base64.b64decode(found["message"]["hdrs"])


@pytest.mark.parametrize("attempts", [1, 3])
async def test_headers_that_are_no_utf_8_stay_as_they_were(
    own_broker: Broker, unique: str, attempts: int
) -> None:
    ran: list[int] = []

    def work(_: str, delivery: Delivery) -> None:
        ran.append(delivery.attempt)
        if len(ran) <= attempts:
            raise ValueError("no luck")

    async with working(own_broker, unique, work, attempts=attempts) as (m, consumer, _):
        placed = headed(f"{unique}-in.placed.p-1", BLOCK, b'{"order_id":"p-1"}')
        await store(own_broker, [placed])
        await eventually(lambda: consumer.stats.dead == 1, what="the letter")
        (number,) = (await select(m.control, Selector())).sequences
        stored = await raw(m, "DEADLETTERS", number)
        assert b"\r\nX-Name: %b\r\n" % LATIN in stored
        assert b"\r\nA(b): \xe2\x80\xaec\r\n" in stored

        letter = await find(m.control, number)
        assert header("X-Name", letter.message.headers["X-Name"], ()) == "caf\ufffd \ufffd"
        (line,) = [line async for line in lines(m.control, [number])]
        assert line.decode().rstrip("\n").isprintable()
        exported = json.loads(line)
        assert exported["headers"]["X-Name"] == "caf\ufffd \ufffd"
        assert exported["headers"]["A(b)"] == "\u202ec"
        assert exported["headers_base64"] == {"X-Name": base64.b64encode(LATIN).decode()}

        lane = consumer.lane
        lane.stop()
        desk = Desk(m.control, by="test")
        outcome = await desk.send(await desk.prepare(await desk.open(number)))
        assert outcome.result == "replayed"
        lanes = f"LANES_{unique}-service"
        *_, waiting = await m.stored(lanes, f"lanes.{unique}-service.>")
        assert b"\r\nX-Name: %b\r\n" % LATIN in await raw(m, lanes, waiting.sequence)
        lane.start()
        await eventually(lambda: consumer.stats.acked == 1, what="the replayed message handled")
