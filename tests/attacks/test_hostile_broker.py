"""What comes on our inboxes and is no delivery: from the broker, or from who knows them.

A server refuses a client's message that wants its answer on `$JS.ACK.>`; a hostile one may send it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from jetmesh import Delivery
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import Mesh, eventually
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.pull import Pull
from tests.integration.one_handler import letters, outcomes, working
from tests.integration.test_odd_messages import store
from tests.integration.test_projection import reading

PAYLOADS = (b'{"order_id":"stolen"}', b"junk", b"")


def forged(stream: str, durable: str, decided: str) -> Iterator[bytes]:
    """Where messages that are no deliveries want their verdicts sent to."""
    ack = f"$JS.ACK.{stream}.{durable}"
    for reply in (
        "junk",
        "$JS.ACK",
        "$JS.ACK.....",
        f"{ack}.1",
        f"{ack}.1.2",
        f"{ack}.1.x.y.z.w",
        f"{ack}.2.x.y.z.w",
        f"{ack}.x.1.1.1.1",
        f"$JS.ACK.OTHER.{durable}.2.1.1.1.x",
        decided,
        f"$JS.API.STREAM.PURGE.{stream}",
    ):
        yield reply.encode()


def sent_by_the_server(plane: DataPlane, pull: Pull, replies: Iterable[bytes]) -> None:
    """Give the connection bytes as the event loop does; what it raises would end it."""
    link = plane._link
    assert link is not None
    for reply in replies:
        for payload in PAYLOADS:
            frame = b"MSG orders.made.up %b %b %d\r\n%b\r\n" % (
                *(pull.sid, reply),
                *(len(payload), payload),
            )
            link.get_buffer(-1)[: len(frame)] = frame
            link.buffer_updated(len(frame))


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_message_that_no_durable_delivered_is_counted_and_changes_nothing(
    broker: Broker, unique: str, *, is_async: bool
) -> None:
    def work(key: str, _: Delivery) -> None:
        if key == "stolen":
            raise ValueError("of a forged message")

    async with working(broker, unique, work, is_async=is_async) as (m, consumer, placed):
        plane = m.running[consumer.handler.service]._plane
        stolen = f"{unique}.done.stolen"
        await m.publish(placed("p-0"))
        await m.settled()
        for pull in plane._pulls:
            replies = [*forged(*pull.durable, stolen)]
            sent_by_the_server(plane, pull, replies)
            asked = [reply for reply in replies if not reply.startswith(b"$JS.ACK.")]
            frames = [b"PUB %b.1 %b 21\r\n%b\r\n" % (pull._inbox, r, PAYLOADS[0]) for r in asked]
            await store(broker, frames)
        await m.publish(placed("p-1"))
        assert plane.strays >= 50
        await m.settled()
        assert [o.subject for o in await outcomes(m, unique)] == [
            f"{unique}.done.p-0",
            f"{unique}.done.p-1",
        ]
        assert await letters(m, unique) == []
        assert plane.reconnects == 0
        assert consumer.in_flight == {}
        assert await stored(m, consumer.handler.input.stream) == 2


async def stored(m: Mesh, stream: str) -> int:
    info = await m.control.api(f"STREAM.INFO.{stream}")
    return int(info["state"]["messages"])


async def test_a_read_model_folds_nothing_that_its_stream_did_not_deliver(
    broker: Broker, unique: str
) -> None:
    async with reading(broker, unique, 10) as (reader, plane, _, write):
        await eventually(lambda: len(reader.folded) == 10)
        pull = reader.projection._pull
        assert isinstance(pull, Pull)
        sent_by_the_server(plane, pull, forged(*pull.durable, f"{unique}.stolen"))
        await write(10)
        await eventually(lambda: len(reader.folded) >= 20)
        assert reader.folded == [*range(1, 21)]
        assert plane.strays >= 20
        assert plane.reconnects == 0
