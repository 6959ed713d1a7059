"""Guards: a publish that is stored only where the last message is the one that it names."""

from __future__ import annotations

from typing import Any

from tests.conformance.sides import (
    Plane,
    Side,
    make_stream,
    publish,
    send,
    stored,
)


async def test_the_first_message_of_a_subject_is_guarded_by_nought(
    side: Side, plane: Plane
) -> None:
    stream = await make_stream(side, "OUT", "out.>")
    subject = f"{side.name}.out.a"
    assert await publish(side, plane, f"{side.name}.out.b") == "stored"
    assert await publish(side, plane, subject, b"1", last="0") == "stored"
    assert await publish(side, plane, subject, b"2", last="0") == "decided"
    assert [kept.payload for kept in await stored(side, stream)] == [b"{}", b"1"]


async def test_a_guard_names_the_last_message_of_its_subject(side: Side, plane: Plane) -> None:
    await make_stream(side, "OUT", "out.>")
    subject = f"{side.name}.out.a"
    await publish(side, plane, subject)
    await publish(side, plane, f"{side.name}.out.b")
    assert await publish(side, plane, subject, last="2") == "decided"
    assert await publish(side, plane, subject, last="1") == "stored"
    assert await publish(side, plane, subject, last="1") == "decided"
    assert await publish(side, plane, subject, last="3") == "stored"


async def test_a_guard_may_look_at_several_subjects(side: Side, plane: Plane) -> None:
    await make_stream(side, "OUT", "out.>")
    guard: dict[str, Any] = {"last": "0", "on": f"{side.name}.out.*.k"}
    assert await publish(side, plane, f"{side.name}.out.paid.j", **guard) == "stored"
    assert await publish(side, plane, f"{side.name}.out.paid.k", **guard) == "stored"
    assert await publish(side, plane, f"{side.name}.out.declined.k", **guard) == "decided"
    guard["last"] = "2"
    assert await publish(side, plane, f"{side.name}.out.declined.k", **guard) == "stored"


async def test_a_guard_without_a_filter_sees_its_own_subject_alone(
    side: Side, plane: Plane
) -> None:
    await make_stream(side, "OUT", "out.>")
    assert await publish(side, plane, f"{side.name}.out.paid.k", last="0") == "stored"
    assert await publish(side, plane, f"{side.name}.out.declined.k", last="0") == "stored"


async def test_of_two_at_once_one_wins(side: Side) -> None:
    stream = await make_stream(side, "OUT", "out.>")
    planes = [await side.connect() for _ in range(2)]
    guard: dict[str, Any] = {"last": "0", "on": f"{side.name}.out.*.k"}
    fates = [
        send(plane, f"{side.name}.out.{name}.k", **guard)
        for name, plane in zip(("paid", "declined"), planes, strict=True)
    ]
    await side.eventually(lambda: all(fate.told for fate in fates))
    assert sorted(fate.told[0] for fate in fates) == ["decided", "stored"]
    assert len(await stored(side, stream)) == 1


async def test_a_key_is_open_again_after_a_purge(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>")
    subject = f"{side.name}.out.a"
    assert await publish(side, plane, subject, last="0") == "stored"
    await side.control.forget(stream, subject)
    assert await publish(side, plane, subject, last="1") == "decided"
    assert await publish(side, plane, subject, last="0") == "stored"


async def test_one_server_looks_at_the_guard_before_the_id(side: Side, plane: Plane) -> None:
    await make_stream(side, "OUT", "out.>")
    subject = f"{side.name}.out.a"
    assert await publish(side, plane, subject, id="x", last="0") == "stored"
    assert await publish(side, plane, subject, id="x", last="0") == "decided"
    assert await publish(side, plane, subject, id="x", last="1") == "duplicate of 1"


async def test_what_is_too_large_is_impossible_whatever_its_guard_and_id(
    side: Side, plane: Plane
) -> None:
    await make_stream(side, "OUT", "out.>", max_msg_size=100)
    subject = f"{side.name}.out.a"
    assert await publish(side, plane, subject, id="x") == "stored"
    large = b"x" * 200
    too_large = "impossible: message size exceeds maximum allowed"
    assert await publish(side, plane, subject, large, last="9") == too_large
    assert await publish(side, plane, subject, large, last="9", id="x") == too_large
    assert await publish(side, plane, subject, large, id="x") == too_large


async def test_a_guard_that_is_no_number_is_never_right(side: Side, plane: Plane) -> None:
    await make_stream(side, "OUT", "out.>")
    assert await publish(side, plane, f"{side.name}.out.a", last="x") == "decided"


async def test_a_guard_may_look_at_subjects_of_others_alone(side: Side, plane: Plane) -> None:
    await make_stream(side, "OUT", "out.>")
    guard: dict[str, Any] = {"last": "0", "on": f"{side.name}.out.b"}
    for _ in range(2):
        assert await publish(side, plane, f"{side.name}.out.a", **guard) == "stored"


async def test_a_filter_without_a_guard_is_refused(side: Side, plane: Plane) -> None:
    await make_stream(side, "OUT", "out.>")
    fate = send(plane, f"{side.name}.out.a", on=f"{side.name}.out.a")
    await side.eventually(lambda: "missing sequence for expected last sequence" in plane.problem)
    assert fate.told == []


async def test_the_guard_of_a_state_lets_one_step_follow_another(side: Side, plane: Plane) -> None:
    more = {"max_msgs_per_subject": 1, "discard": "new"}
    stream = await make_stream(side, "OUT", "out.>", **more)
    subject = f"{side.name}.out.a"
    for number in range(5):
        assert await publish(side, plane, subject, last=str(number)) == "stored"
    assert [kept.sequence for kept in await stored(side, stream)] == [5]
