"""Headers and subjects as nobody should write them, and anybody may: they stop nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jetmesh import wire
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage
from tests.examples import examples
from tests.integration.one_handler import letters, outcomes, working
from tests.integration.planes import both, echo, make_stream, settings_of

BLOCKS = [
    b"NATS/1.0\r\nA: b\r\n\r\n",
    b"NATS/1.0\r\nno colon\r\nA: b\r\n\r\n",
    b"NATS/1.0\r\nA: \xff\xfe\r\n\xff: c\r\n\r\n",
    b"NATS/1.0\r\n: empty name\r\nA B: blank in name\r\n\r\n",
    b"NATS/1.0\r\nA: b\rc\r\nB: d\ne\r\n\r\n",
    b"NATS/1.0\r\n   A: b\r\n  continued: c\r\n\td\r\n\r\n",
    b"NATS/1.0\r\nA: 1\r\nA: 2\r\na: 3\r\n\r\n",
    b"NATS/1.0\r\nA: =?utf-8?q?x?=\r\n\r\nB: behind the end\r\n\r\n",
    b"NATS/1.0\r\nStatus: 503\r\n\r\n",
    b"NATS/1.0 503 Not From Here\r\nA: b\r\n\r\n",
    b"NATS/1.0 404 \xff\r\nA: b\r\n\r\n",
    b"NATS/1.0 503",
    b"NATS/1.0 \xff\xff\xff\r\n\r\n",
    b"A: b\r\nB: c\r\n\r\n",
    b"NATS/1.0\r\nA: b",
    b"NATS/1.0",
    b"XY",
    b"\r\n\r\n",
    bytes(range(256)),
]
"""nats-py drops some names, and its read loop ends at whatever is not longer than `NATS/1.0`."""
SHORTEST = 2
"""Bytes of headers; nats-server 2.15.1 panics when it is asked for fewer without their payload."""

lines = st.one_of(
    st.binary(max_size=15),
    st.sampled_from([b"A: b", b"no colon", b": v", b"A:", b"  c", b"\tA: b", b"A: \xff"]),
)
versions = st.sampled_from([b"NATS/1.0", b"NATS/1.0 503", b"NATS/1.0 404 \xff", b"", b"X"])
ends = st.sampled_from([b"\r\n\r\n", b"\r\n", b"", b"\n"])
blocks = st.tuples(versions, st.lists(lines, max_size=4), ends).map(
    lambda parts: b"\r\n".join([parts[0], *parts[1]]) + parts[2]
)


def is_kept(block: bytes) -> bool:
    """nats-server 2.15.1 takes a status away, and then all headers when next to nothing is left."""
    version, _, rest = block.partition(b"\r\n")
    return len(block) >= SHORTEST and (version == version[:8] or len(rest) > len(b"A:"))


async def store(broker: Broker, frames: Iterable[bytes]) -> None:
    """Say `frames` to the server on a connection of their own, and wait until it has read them."""
    reader, writer = await asyncio.open_connection(broker.host, broker.port)
    writer.write(b'CONNECT {"headers":true,"verbose":false}\r\n')
    writer.writelines([*frames, wire.PING])
    said = await asyncio.wait_for(reader.readuntil(wire.PONG), 5)
    assert b"-ERR" not in said
    writer.close()
    await writer.wait_closed()


def headed(subject: str, block: bytes, payload: bytes = b"{}", reply: str = "") -> bytes:
    sizes = f"{len(block)} {len(block) + len(payload)}"
    return f"HPUB {subject} {reply} {sizes}\r\n".encode() + block + payload + b"\r\n"


async def ways(
    broker: Broker, name: str, given_blocks: list[bytes]
) -> dict[str, list[dict[str, str]]]:
    """The headers of what is stored of `given_blocks`, by each way to read them."""
    async with both(settings_of(broker)) as (plane, control):
        stream, count = name.upper(), len(given_blocks)
        subjects = [f"{name}.{number}" for number in range(count)]
        await make_stream(control, stream, f"{name}.>", storage="memory", allow_direct=True)
        await store(broker, map(headed, subjects, given_blocks))
        await eventually(lambda: stored(control, stream, count), what=f"{count} messages")
        history = [message async for message in control.history(stream, [])]
        bare = [message async for message in control.history(stream, [], headers_only=True)]
        assert [message.subject for message in (*history, *bare)] == subjects * 2
        numbers = range(1, count + 1)
        found: dict[str, list[StoredMessage | None]] = {
            "history": [*history],
            "message": [await control.message(stream, number) for number in numbers],
            "last": [await control.last(stream, subject) for subject in subjects],
            "look_up": [await plane.lookups.last(stream, subject) for subject in subjects],
        }
        assert control.problem == plane.problem == ""
        await control.api(f"STREAM.DELETE.{stream}")
    return {way: [m.headers for m in messages if m] for way, messages in found.items()}


def check(read: dict[str, list[dict[str, str]]], given_blocks: list[bytes]) -> None:
    """All alike; but where a block does not end as it should, a direct get cuts two bytes off."""
    wanted = [wire.parse(block, exact=True).values for block in given_blocks]
    looked_up = read.pop("look_up")
    assert read == dict.fromkeys(("history", "message", "last"), wanted)
    assert len(looked_up) == len(wanted)
    for block, found, values in zip(given_blocks, looked_up, wanted, strict=True):
        if block.endswith(b"\r\n"):
            assert found == values


async def stored(control: ControlPlane, stream: str, count: int) -> bool:
    info = await control.api(f"STREAM.INFO.{stream}")
    return bool(info["state"]["messages"] == count)


async def test_odd_headers_are_read_the_same_everywhere(broker: Broker, unique: str) -> None:
    check(await ways(broker, unique, BLOCKS), BLOCKS)


@given(st.lists(blocks.filter(is_kept), min_size=5, max_size=40))
@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_headers_are_read_the_same_everywhere(
    broker: Broker, unique: str, some: list[bytes]
) -> None:
    check(asyncio.run(ways(broker, unique, some)), some)


@pytest.mark.parametrize("block", [b"X", b"NATS/1.0", b"NATS/1.0 \xff\xff\xff\r\n\r\n"])
async def test_a_request_with_odd_headers_is_answered_like_any_other(
    broker: Broker, unique: str, block: bytes
) -> None:
    """What asks $SRV.PING is not ours to choose; the answer does not carry its headers."""
    async with both(settings_of(broker)) as (_, control):
        inbox, subscription = await control._session.listen()
        await control.subscribe(unique, echo)
        await control.api("INFO")  # the server has read both subscriptions
        ask = [headed(unique, each, b"", inbox) for each in (block, BLOCKS[0])]
        await store(broker, ask)
        for _ in ask:
            answer = await subscription.next_msg(timeout=5)
            assert (answer.data, answer.headers) == (unique.encode(), {})
        assert control.problem == ""


@pytest.mark.parametrize("odd", [b"\xff", b"a\x0bb", b"a\x0cb", b"\x0b", b"a\x85b", b"a\x1cb"])
async def test_an_odd_subject_ends_no_reading(broker: Broker, unique: str, odd: bytes) -> None:
    async with both(settings_of(broker)) as (_, control):
        stream = unique.upper()
        await make_stream(control, stream, f"{unique}.>")
        start = f"{unique}.".encode()
        await store(broker, [wire.pub(start + odd, b""), headed(f"{unique}.a", BLOCKS[0])])
        await eventually(lambda: stored(control, stream, 2))
        subjects = [message.subject async for message in control.history(stream, [])]
        assert subjects == [f"{unique}.{odd.decode(errors='replace')}", f"{unique}.a"]
        assert control.problem == ""


@pytest.mark.parametrize("blank", [b"\x0b", b"\x0c", b"\x1c", b"\x00", b"\xff"])
async def test_an_odd_subject_ends_no_service(broker: Broker, unique: str, blank: bytes) -> None:
    """The broker divides by spaces alone: whatever else is blank, it stores in a subject."""
    start = f"{unique}-in.placed.".encode()
    async with working(broker, unique, lambda *_: None) as (m, _, __):
        odd = [wire.pub(start + b"a%bb" % blank, text) for text in (b"", b'{"order_id":"p-1"}')]
        await store(broker, [*odd, wire.pub(start + b"p-2", b'{"order_id":"p-2"}')])
        await m.settled()
        assert sorted(done.subject for done in await outcomes(m, unique)) == [
            f"{unique}.done.p-1",
            f"{unique}.done.p-2",
        ]
        (letter,) = await letters(m, unique)
        assert letter.subject.isprintable()
        assert m.running[f"{unique}-service"]._plane.reconnects == 0
