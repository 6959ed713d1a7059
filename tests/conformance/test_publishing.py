"""The fates of a publish: stored, a duplicate, decided, impossible, or not yet."""

from __future__ import annotations

from tests.conformance.sides import (
    Plane,
    Side,
    make_stream,
    publish,
    send,
    stored,
)


async def test_what_is_stored_says_where(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>")
    answers: list[bytes] = []

    class Told:
        def on_stored(self, answer: bytes) -> None:
            answers.append(answer)

    for _ in range(2):
        plane.publish(f"{side.name}.out.a".encode(), b"NATS/1.0\r\n\r\n", b"{}", Told())  # type: ignore[arg-type] # nothing else happens
    await side.eventually(lambda: len(answers) == 2)
    assert [answer.replace(b" ", b"") for answer in answers] == [
        b'{"stream":"%b","seq":%d}' % (stream.encode(), number) for number in (1, 2)
    ]


async def test_what_is_sent_in_a_row_is_stored_in_that_order(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>")
    fates = [send(plane, f"{side.name}.out.a", b"%d" % number) for number in range(50)]
    await side.eventually(lambda: all(fate.told for fate in fates))
    assert [kept.payload for kept in await stored(side, stream)] == [b"%d" % n for n in range(50)]


async def test_an_id_is_taken_once(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>")
    subject = f"{side.name}.out.a"
    assert await publish(side, plane, subject, b"1") == "stored"
    assert await publish(side, plane, subject, b"2", id="x") == "stored"
    assert await publish(side, plane, subject, b"2", id="x") == "duplicate of 2"
    assert [kept.payload for kept in await stored(side, stream)] == [b"1", b"2"]


async def test_an_id_is_taken_whatever_else_differs(side: Side, plane: Plane) -> None:
    await make_stream(side, "OUT", "out.>")
    assert await publish(side, plane, f"{side.name}.out.a", b"1", id="x") == "stored"
    other = f"{side.name}.out.b"
    assert await publish(side, plane, other, b"2", id="x") == "duplicate of 1"
    assert await publish(side, plane, other, b"2", id="X") == "stored"


async def test_an_id_is_taken_in_one_stream_alone(side: Side, plane: Plane) -> None:
    await make_stream(side, "OUT", "out.>")
    await make_stream(side, "ELSE", "else.>")
    assert await publish(side, plane, f"{side.name}.out.a", id="x") == "stored"
    assert await publish(side, plane, f"{side.name}.else.a", id="x") == "stored"


async def test_an_id_is_free_again_after_the_window(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>", duplicate_window=1_000_000_000)
    subject = f"{side.name}.out.a"
    assert await publish(side, plane, subject, id="x") == "stored"
    await side.pass_time(2.5)
    assert await publish(side, plane, subject, id="x") == "stored"
    assert len(await stored(side, stream)) == 2


async def test_an_id_stays_taken_when_its_message_is_purged(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>")
    subject = f"{side.name}.out.a"
    await publish(side, plane, subject, id="x")
    await side.control.forget(stream, subject)
    assert await publish(side, plane, subject, id="x") == "duplicate of 1"
    assert await stored(side, stream) == []


async def test_an_id_that_was_refused_is_not_taken(side: Side, plane: Plane) -> None:
    await make_stream(side, "OUT", "out.>")
    subject = f"{side.name}.out.a"
    assert await publish(side, plane, subject, id="x", last="7") == "decided"
    assert await publish(side, plane, subject, id="x", last="0") == "stored"


async def test_what_is_too_large_for_its_stream_is_impossible(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>", max_msg_size=1000)
    subject = f"{side.name}.out.a"
    fate = await publish(side, plane, subject, b"x" * 1001)
    assert fate == "impossible: message size exceeds maximum allowed"
    headers = len(b"NATS/1.0\r\nNats-Msg-Id: x\r\n\r\n")
    assert (await publish(side, plane, subject, b"x" * (1001 - headers), id="x"))[:10] == (
        "impossible"
    ), "headers count"
    assert await publish(side, plane, subject, b"x" * (1000 - headers), id="x") == "stored"
    assert len(await stored(side, stream)) == 1


async def test_what_is_too_large_for_the_server_is_impossible(side: Side, plane: Plane) -> None:
    await make_stream(side, "OUT", "out.>")
    fate = await publish(side, plane, f"{side.name}.out.a", b"x" * (1 << 20))
    said = "bytes are more than the server's max_payload of"
    assert fate == f"impossible: {(1 << 20) + 12} {said} {1 << 20}"


async def test_too_many_headers_are_impossible(side: Side, plane: Plane) -> None:
    await make_stream(side, "OUT", "out.>")
    fate = await publish(side, plane, f"{side.name}.out.a", X="x" * 66_000)
    assert fate == "impossible: header size exceeds maximum allowed of 64k"


async def test_what_no_stream_takes_waits_for_one(side: Side, plane: Plane) -> None:
    fate = send(plane, f"{side.name}.out.a")
    await side.eventually(lambda: "no stream takes it" in plane.problem, within=30)
    assert fate.told == []
    await make_stream(side, "OUT", "out.>")
    await side.eventually(lambda: fate.told == ["stored"])
    await side.eventually(lambda: not plane.problem)


async def test_a_full_stream_that_discards_the_new_refuses_until_there_is_room(
    side: Side, plane: Plane
) -> None:
    stream = await make_stream(side, "OUT", "out.>", max_msgs=1, discard="new")
    await publish(side, plane, f"{side.name}.out.a")
    fate = send(plane, f"{side.name}.out.b")
    await side.eventually(lambda: "maximum messages exceeded" in plane.problem)
    assert fate.told == []
    await side.control.forget(stream, f"{side.name}.out.a")
    await side.eventually(lambda: fate.told == ["stored"])


async def test_a_full_stream_that_discards_the_old_forgets_it(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>", max_msgs=2)
    for number in range(4):
        assert await publish(side, plane, f"{side.name}.out.a", b"%d" % number) == "stored"
    assert [kept.payload for kept in await stored(side, stream)] == [b"2", b"3"]
    assert [kept.sequence for kept in await stored(side, stream)] == [3, 4]


async def test_a_stream_keeps_the_last_of_each_subject(side: Side, plane: Plane) -> None:
    more = {"max_msgs_per_subject": 2, "discard": "new"}
    stream = await make_stream(side, "OUT", "out.>", **more)
    for name in "aababa":
        assert await publish(side, plane, f"{side.name}.out.{name}") == "stored"
    assert [kept.sequence for kept in await stored(side, stream)] == [3, 4, 5, 6][-4:]


async def test_a_message_may_replace_all_of_its_subject(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>", allow_rollup_hdrs=True)
    for name in "aba":
        await publish(side, plane, f"{side.name}.out.{name}")
    assert await publish(side, plane, f"{side.name}.out.a", b"x", rollup="sub") == "stored"
    assert [kept.sequence for kept in await stored(side, stream)] == [2, 4]


async def test_a_stream_may_not_let_a_message_replace_others(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>")
    await publish(side, plane, f"{side.name}.out.a")
    fate = send(plane, f"{side.name}.out.a", rollup="sub")
    await side.eventually(lambda: "rollup not permitted" in plane.problem)
    assert (fate.told, len(await stored(side, stream))) == ([], 1)


async def test_a_stream_of_schedules_lets_a_message_replace_others(
    side: Side, plane: Plane
) -> None:
    stream = await make_stream(side, "OUT", "out.>", allow_msg_schedules=True)
    await publish(side, plane, f"{side.name}.out.a")
    assert await publish(side, plane, f"{side.name}.out.a", rollup="sub") == "stored"
    assert [kept.sequence for kept in await stored(side, stream)] == [2]


async def test_a_stream_forgets_what_is_too_old(side: Side, plane: Plane) -> None:
    more = {"max_age": 1_000_000_000, "duplicate_window": 500_000_000}
    stream = await make_stream(side, "OUT", "out.>", **more)
    await publish(side, plane, f"{side.name}.out.a")

    async def is_empty() -> bool:
        return not await stored(side, stream)

    await side.eventually(is_empty)
    assert await publish(side, plane, f"{side.name}.out.a") == "stored"


async def test_a_purge_takes_only_what_matches(side: Side, plane: Plane) -> None:
    stream = await make_stream(side, "OUT", "out.>")
    for name in ("a.1", "a.2", "b.1", "a.3"):
        await publish(side, plane, f"{side.name}.out.{name}")
    await side.control.forget(stream, f"{side.name}.out.a.*", before=4)
    assert [kept.sequence for kept in await stored(side, stream)] == [3, 4]
    await side.control.forget(stream, f"{side.name}.out.>")
    assert await stored(side, stream) == []
    await publish(side, plane, f"{side.name}.out.a.1")
    assert [kept.sequence for kept in await stored(side, stream)] == [5]
