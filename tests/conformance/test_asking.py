"""What is asked beside messages: look-ups on the data plane, and calls of the control plane."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetmesh.errors import BrokerError
from jetmesh.transport.stored import ApiError, StoredMessage
from tests.conformance.sides import (
    Plane,
    Side,
    make_stream,
    publish,
    send,
    stored,
)


async def test_a_look_finds_the_newest_of_a_subject(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane)
    assert numbers(await looked(side, plane, stream, "in.a.1")) == 4
    assert numbers(await looked(side, plane, stream, "in.*.1")) == 4
    assert numbers(await looked(side, plane, stream, "in.*.2")) == 3
    assert await looked(side, plane, stream, "in.c.1") is None


async def test_a_look_may_begin_at_a_sequence(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane)
    found = [await looked(side, plane, stream, "in.a.1", since) for since in (1, 2, 5)]
    assert [numbers(each) for each in found] == [1, 4, None]


async def test_what_a_look_finds_is_the_message(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "IN", "in.>")
    await publish(side, plane, f"{side.name}.in.a", b"\x00\xff", id="1", Name="ü")
    found = await looked(side, plane, stream, "in.a")
    (kept,) = await stored(side, stream)
    assert found == kept
    assert (found.stream, found.subject, found.payload) == (
        stream,
        f"{side.name}.in.a",
        b"\x00\xff",
    )
    assert found.headers == {"Nats-Msg-Id": "1", "Name": "ü"}


async def test_a_look_into_no_stream_has_no_answer(side: Side, plane: Plane) -> None:
    with pytest.raises(BrokerError):
        await looked(side, plane, "NOWHERE", "in.a")


async def test_a_look_needs_a_stream_that_allows_it(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "IN", "in.>", allow_direct=False)
    with pytest.raises(BrokerError):
        await looked(side, plane, stream, "in.a")


async def test_a_look_sees_what_was_published_before_it(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "IN", "in.>")
    fate = send(plane, f"{side.name}.in.a", b"1")
    await side.eventually(lambda: fate.told)
    found = await looked(side, plane, stream, "in.a")
    assert found.payload == b"1"


async def test_the_control_plane_finds_messages(side: Side, plane: Plane) -> None:
    stream, control, name = await filled(side, plane), side.control, side.name
    assert numbers(await control.last(stream, f"{name}.in.*.1")) == 4
    assert numbers(await control.first(stream, f"{name}.in.*.1")) == 1
    assert numbers(await control.first(stream, f"{name}.in.*.1", since=2)) == 2
    assert numbers(await control.message(stream, 3)) == 3
    assert await control.last(stream, f"{name}.in.c.1") is None
    assert await control.message(stream, 9) is None
    assert await control.last("NOWHERE", "x") is None


async def test_the_control_plane_counts_and_reads(side: Side, plane: Plane) -> None:
    stream, control, name = await filled(side, plane), side.control, side.name
    a, b = f"{name}.in.a.*", f"{name}.in.b.*"
    assert [await control.count(stream, each) for each in ([], [a], [a, b])] == [4, 2, 4]
    assert await control.count(stream, [a], first=2) == 1
    assert await control.subjects(stream, a) == {f"{name}.in.a.1": 2}
    read = [m async for m in control.history(stream, [b], first=2, headers_only=True)]
    assert [(m.sequence, m.payload) for m in read] == [(2, b""), (3, b"")]


async def test_the_control_plane_stores(side: Side) -> None:
    stream = await make_stream(side, "IN", "in.>")
    subject, more = f"{side.name}.in.a", {"Nats-Msg-Id": "1"}
    first = await side.control.publish(subject, b"1", more)
    assert (first.stream, first.sequence, first.duplicate) == (stream, 1, False)
    again = await side.control.publish(subject, b"1", more)
    assert (again.sequence, again.duplicate) == (1, True)
    guard = {"Nats-Expected-Last-Subject-Sequence": "0"}
    with pytest.raises(ApiError) as refused:
        await side.control.publish(subject, b"1", guard)
    assert (refused.value.err_code, refused.value.description) == (10071, "wrong last sequence: 1")
    with pytest.raises(BrokerError):
        await side.control.publish(f"{side.name}.else", b"1")


async def test_a_stream_may_be_created_again_only_as_it_is(side: Side) -> None:
    stream = await make_stream(side, "IN", "in.>")
    await make_stream(side, "IN", "in.>")
    with pytest.raises(ApiError) as refused:
        await make_stream(side, "IN", "in.>", max_msgs=3)
    assert refused.value.err_code == 10058
    with pytest.raises(ApiError) as refused:
        await make_stream(side, "OTHER", "in.a")
    assert refused.value.err_code == 10065
    assert await side.control.holders(f"{side.name}.in.a") == [stream]
    assert await side.control.holders(f"{side.name}.else") == []


async def test_a_stream_tells_what_it_holds(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane)
    state = (await side.control.api(f"STREAM.INFO.{stream}"))["state"]
    told = [state[name] for name in ("messages", "first_seq", "last_seq", "num_subjects")]
    assert told == [4, 1, 4, 3]
    await side.control.forget(stream, f"{side.name}.in.*.1", before=4)
    state = (await side.control.api(f"STREAM.INFO.{stream}"))["state"]
    assert [state[name] for name in ("messages", "first_seq", "last_seq")] == [2, 3, 4]
    await side.control.forget(stream, f"{side.name}.>")
    state = (await side.control.api(f"STREAM.INFO.{stream}"))["state"]
    assert [state[name] for name in ("messages", "first_seq", "last_seq")] == [0, 5, 4]


async def test_a_stream_that_is_changed_keeps_what_it_holds(side: Side, plane: Plane) -> None:
    stream = await filled(side, plane)
    subjects = [f"{side.name}.in.>", f"{side.name}.more"]
    config: dict[str, Any] = {"name": stream, "subjects": subjects, "storage": "memory"}
    config |= {"max_msgs_per_subject": 1, "allow_direct": True}
    await side.control.api(f"STREAM.UPDATE.{stream}", config)
    assert [kept.sequence for kept in await stored(side, stream)] == [2, 3, 4]
    assert await publish(side, plane, f"{side.name}.more") == "stored"


async def test_a_stream_that_is_deleted_and_made_again_counts_anew(
    side: Side, plane: Plane
) -> None:
    stream = await filled(side, plane)
    before = (await side.control.api(f"STREAM.INFO.{stream}"))["created"]
    await side.control.api(f"STREAM.DELETE.{stream}")
    fate = send(plane, f"{side.name}.in.a")
    await side.eventually(lambda: "no stream takes it" in plane.problem)
    await make_stream(side, "IN", "in.>")
    await side.eventually(lambda: fate.told)
    assert [kept.sequence for kept in await stored(side, stream)] == [1]
    assert (await side.control.api(f"STREAM.INFO.{stream}"))["created"] != before


async def test_what_may_only_be_added_to_cannot_be_purged(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "IN", "in.>", deny_purge=True, deny_delete=True)
    await publish(side, plane, f"{side.name}.in.a")
    with pytest.raises(ApiError) as refused:
        await side.control.api(f"STREAM.PURGE.{stream}")
    assert refused.value.description == "stream purge not permitted"
    with pytest.raises(ApiError) as refused:
        await side.control.api(f"STREAM.MSG.DELETE.{stream}", {"seq": 1})
    assert refused.value.description == "message delete not permitted"
    assert len(await stored(side, stream)) == 1


async def filled(side: Side, plane: Plane) -> str:
    """A stream with four messages on three subjects."""
    stream = await make_stream(side, "IN", "in.>")
    for subject in ("a.1", "b.1", "b.2", "a.1"):
        await publish(side, plane, f"{side.name}.in.{subject}")
    return stream


async def looked(side: Side, plane: Plane, stream: str, subject: str, since: int = 0) -> Any:
    """The answer to a look-up: asked now, and answered when what is on its way has happened."""
    asked = f"{side.name}.{subject}"
    looks = plane.lookups
    answer = looks.since(stream, asked, since) if since else looks.last(stream, asked)
    waiting = asyncio.ensure_future(answer)
    await side.eventually(waiting.done)
    return waiting.result()


def numbers(found: StoredMessage | None) -> int | None:
    return found.sequence if found else None
