"""Schedules: stored now, delivered on another subject of the stream at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetmesh import wire
from jetmesh.protocol.lanes import schedule
from tests.conformance.sides import (
    Plane,
    Side,
    Simulated,
    Taker,
    make_durable,
    make_stream,
    publish,
    send,
    stored,
)


async def test_a_schedule_fires_at_its_time(side: Side, plane: Plane) -> None:
    stream = await clocks(side)
    taker = Taker(plane, stream, "d")
    began = side.now
    assert await publish(side, plane, f"{side.name}.at.a", b"x", **after(side, 1.5)) == "stored"
    await side.eventually(lambda: taker.taken)
    assert side.now - began >= 1.2
    (taken,) = taker.taken
    assert (taken.subject, taken.payload) == (f"{side.name}.due.k", b"x")


async def test_a_schedule_of_the_past_fires_at_once(side: Side, plane: Plane) -> None:
    stream = await clocks(side)
    taker = Taker(plane, stream, "d")
    await publish(side, plane, f"{side.name}.at.a", **after(side, -60))
    await side.eventually(lambda: taker.taken, within=10)


async def test_what_fired_keeps_its_headers_but_not_its_id_or_guard(
    side: Side, plane: Plane
) -> None:
    stream = await clocks(side)
    taker = Taker(plane, stream, "d")
    more: dict[str, Any] = {"Custom": "ü", "Jetmesh-Attempts": "2", "id": "1", "last": "0"}
    await publish(side, plane, f"{side.name}.at.a", **more, **after(side, 0.2))
    await side.eventually(lambda: taker.taken)
    assert wire.parse(taker.taken[0].headers).values == {
        "Custom": "ü",
        "Jetmesh-Attempts": "2",
        "Nats-Scheduler": f"{side.name}.at.a",
        "Nats-Schedule-Next": "purge",
    }


async def test_a_schedule_that_fired_is_gone(side: Side, plane: Plane) -> None:
    stream = await clocks(side)
    taker = Taker(plane, stream, "d")
    await publish(side, plane, f"{side.name}.at.a", **after(side, 2.0))
    assert [kept.subject for kept in await stored(side, stream)] == [f"{side.name}.at.a"]
    await side.eventually(lambda: taker.taken)
    (kept,) = await stored(side, stream)
    assert (kept.sequence, kept.subject) == (2, f"{side.name}.due.k")
    assert taker.sequences == [2]


async def test_a_schedule_that_is_purged_never_fires(side: Side, plane: Plane) -> None:
    stream = await clocks(side)
    taker = Taker(plane, stream, "d")
    await publish(side, plane, f"{side.name}.at.a", **after(side, 2.5))
    await side.control.forget(stream, f"{side.name}.at.a")
    await side.pass_time(4.0)
    assert taker.taken == []


async def test_a_second_schedule_on_a_subject_replaces_the_first(side: Side, plane: Plane) -> None:
    stream = await clocks(side)
    taker = Taker(plane, stream, "d")
    subject = f"{side.name}.at.a"
    await publish(side, plane, subject, b"1", **after(side, 2.5))
    await publish(side, plane, subject, b"2", **after(side, 3.0))
    (kept,) = await stored(side, stream)
    assert kept.payload == b"2"
    assert kept.headers["Nats-Rollup"] == "sub"
    await side.eventually(lambda: taker.taken)
    await side.pass_time(1.0)
    assert taker.payloads == [b"2"]


async def test_a_message_may_cancel_a_schedule(side: Side, plane: Plane) -> None:
    stream = await clocks(side)
    taker = Taker(plane, stream, "d")
    await publish(side, plane, f"{side.name}.at.a", **after(side, 2.5))
    await publish(side, plane, f"{side.name}.at.b", **after(side, 3.0))
    cancels = {"scheduler": f"{side.name}.at.a", "next": "purge"}
    assert await publish(side, plane, f"{side.name}.at.cancelled", b"", **cancels) == "stored"
    left = [kept.subject for kept in await stored(side, stream)]
    assert left == [f"{side.name}.at.b", f"{side.name}.at.cancelled"]
    await side.eventually(lambda: taker.taken)
    await side.pass_time(1.0)
    assert len(taker.taken) == 1


async def test_cancelling_what_is_not_there_changes_nothing(side: Side, plane: Plane) -> None:
    stream = await clocks(side)
    await publish(side, plane, f"{side.name}.due.a")
    for scheduler in (f"{side.name}.at.none", "elsewhere"):
        cancels = {"scheduler": scheduler, "next": "purge"}
        assert await publish(side, plane, f"{side.name}.at.c", b"", **cancels) == "stored"
    assert [kept.sequence for kept in await stored(side, stream)] == [1, 2, 3]


@pytest.mark.parametrize(
    "cancels",
    [
        {"scheduler": "due.a", "next": "purge"},
        {"scheduler": "at.c", "next": "purge"},
        {"scheduler": "at.*", "next": "purge"},
        {"scheduler": "at.b", "next": "later"},
        {"scheduler": "at.b"},
        {"next": "purge"},
    ],
    ids=["of no schedule", "its own", "several", "not now", "no word", "of what"],
)
async def test_what_cannot_be_cancelled_is_refused(
    side: Side, plane: Plane, cancels: dict[str, Any]
) -> None:
    stream = await clocks(side)
    await publish(side, plane, f"{side.name}.due.a")
    await publish(side, plane, f"{side.name}.at.b", **after(side, 600))
    if "scheduler" in cancels:
        cancels = {**cancels, "scheduler": f"{side.name}.{cancels['scheduler']}"}
    fate = send(plane, f"{side.name}.at.c", b"", **cancels)
    await side.eventually(lambda: "message schedules invalid scheduler" in plane.problem)
    assert (fate.told, len(await stored(side, stream))) == ([], 2)


async def test_a_schedule_is_a_duplicate_like_any_message(side: Side, plane: Plane) -> None:
    stream = await clocks(side)
    taker = Taker(plane, stream, "d")
    more = after(side, 0.5)
    assert await publish(side, plane, f"{side.name}.at.a", id="1", **more) == "stored"
    assert await publish(side, plane, f"{side.name}.at.a", id="1", **more) == "duplicate of 1"
    await side.eventually(lambda: taker.taken)
    assert await publish(side, plane, f"{side.name}.at.a", id="1", **more) == "duplicate of 1"
    await side.pass_time(1.0)
    assert len(taker.taken) == 1


async def test_schedules_fire_in_the_order_of_their_times(side: Side, plane: Plane) -> None:
    stream = await clocks(side)
    taker = Taker(plane, stream, "d")
    times = {name: after(side, seconds) for name, seconds in (("c", 3.0), ("a", 2.0), ("b", 2.5))}
    for name, at in times.items():
        await publish(side, plane, f"{side.name}.at.{name}", name.encode(), **at)
    await side.eventually(lambda: len(taker.taken) == 3)
    assert taker.payloads == [b"a", b"b", b"c"]


async def test_a_target_outside_the_stream_is_refused(side: Side, plane: Plane) -> None:
    await clocks(side)
    at = after(side, 0.5)
    fate = send(plane, f"{side.name}.at.a", at=at["at"], target=f"{side.name}.else.k")
    await side.eventually(lambda: "message schedules target is invalid" in plane.problem)
    assert fate.told == []


async def test_a_stream_without_schedules_refuses_them(side: Side, plane: Plane) -> None:
    await make_stream(side, "AT", "at.>", "due.>")
    fate = send(plane, f"{side.name}.at.a", **after(side, 0.5))
    await side.eventually(lambda: "message schedules is disabled" in plane.problem)
    assert fate.told == []


def after(side: Side, seconds: float) -> dict[str, Any]:
    """The headers of a schedule that is due in so many seconds."""
    now = side.server.clock.time() if isinstance(side, Simulated) else datetime.now(UTC)
    at, target = schedule(f"{side.name}.due.k", now + timedelta(seconds=seconds)).values()
    return {"at": at, "target": target}


async def clocks(side: Side) -> str:
    """A stream that takes schedules, and a durable `d` of what they store."""
    stream = await make_stream(side, "AT", "at.>", "due.>", allow_msg_schedules=True)
    await make_durable(side, stream, "d", "due.*")
    return stream
