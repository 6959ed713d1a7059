"""What a version wrote that did not name the time of storing is read, and ends as it should.

Until then ids named stream and sequence only, and lanes and letters carried the time to the
microsecond. The forms are written here as that version wrote them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetmesh import Delivery
from jetmesh.operate.deadletters.letter import Selector
from jetmesh.operate.deadletters.payload import content_of
from jetmesh.operate.deadletters.store import find, history, lane_status, select
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.streams import DEADLETTERS, REFUSALS, lane_stream
from jetmesh.testing import Mesh, eventually
from jetmesh.transport.stored import PubAck, StoredMessage
from tests.integration.one_handler import letters, outcomes, stop, topology_of, working
from tests.integration.some_letters import desk_of
from tests.integration.test_retries import lose_one

BODY = b'{"order_id":"p-1"}'


def nothing(_: str, __: Delivery) -> None: ...


class Old:
    """The version before, at work for the handler of one test."""

    def __init__(self, m: Mesh, domain: str) -> None:
        self.m, self.domain = m, domain
        self.service = f"{domain}-service"
        self.stream = f"{domain.upper()}_IN"

    async def stored(self) -> StoredMessage:
        """The input, as its stream holds it."""
        found = await self.m.control.message(self.stream, 1)
        assert found is not None
        return found

    async def letter(self) -> StoredMessage | None:
        return await self.m.control.last(DEADLETTERS, f"deadletters.{self.service}.>")

    async def origin(self, attempts: int) -> dict[str, str]:
        message = await self.stored()
        rounded = datetime.fromtimestamp(message.stored_ns / 1e9, UTC)
        return {
            "Jetmesh-Subject": message.subject,
            "Jetmesh-Stream": self.stream,
            "Jetmesh-Sequence": str(message.sequence),
            "Jetmesh-Stored-At": rounded.isoformat(),
            "Jetmesh-Attempts": str(attempts),
        }

    async def decides(self) -> PubAck:
        """Publish the outcome of the first input, and die before the ack."""
        subject = f"{self.domain}.done.p-1"
        headers = {
            "Nats-Msg-Id": f"{self.service}:do:{self.stream}:1:{subject}",
            "Nats-Expected-Last-Subject-Sequence": "0",
            "Nats-Expected-Last-Subject-Sequence-Subject": f"{self.domain}.*.p-1",
        }
        return await self.m.publish(subject, b'{"order_id":"p-1","attempt":1}', headers)

    async def retries(self, after: float) -> PubAck:
        """Put a retry on the lane, due in so many seconds."""
        at = (datetime.now(UTC) + timedelta(seconds=after)).isoformat().replace("+00:00", "Z")
        headers = {
            **await self.origin(1),
            "Nats-Msg-Id": f"{self.service}:do:{self.stream}:1:retry:1",
            "Jetmesh-Error": "ValueError",
            "Jetmesh-Message": "no luck",
            "Nats-Schedule": f"@at {at}",
            "Nats-Schedule-Target": f"lanes.{self.service}.do.p-1",
        }
        subject = f"lanes.{self.service}.do.{self.stream}.1.later"
        return await self.m.publish(subject, BODY, headers)

    async def gives_up(self, **more: str) -> PubAck:
        """Store a letter."""
        now = datetime.now(UTC).isoformat()
        headers = {
            **await self.origin(4),
            "Nats-Msg-Id": f"{self.service}:do:{self.stream}:1:deadletter",
            "Jetmesh-Service": self.service,
            "Jetmesh-Version": "0.9.0",
            "Jetmesh-Handler": "do",
            "Jetmesh-Error": "ValueError",
            "Jetmesh-Message": "no luck",
            "Jetmesh-Where": "a.py:1 in do",
            "Jetmesh-Fingerprint": "0123456789ab",
            "Jetmesh-Failed-At": now,
            **more,
        }
        payload = b"" if "Jetmesh-Payload" in more else BODY
        return await self.m.publish(f"deadletters.{self.service}.do.p-1", payload, headers)

    async def replays(self, letter: int, attempts: int = 0) -> PubAck:
        headers = {
            **await self.origin(attempts),
            "Jetmesh-Replays": "1",
            "Nats-Msg-Id": f"replay:{letter}",
        }
        return await self.m.publish(f"lanes.{self.service}.do.p-1", BODY, headers)

    async def notes(self, letter: int) -> PubAck:
        note = (
            b'{"action":"replay","letter":%d,"by":"ben@desk","at":"2026-01-01T12:00:00Z",'
            b'"why":"","corrected":false,"lane_sequence":1}' % letter
        )
        subject = f"deadletters.{self.service}.do.p-1.done"
        return await self.m.publish(subject, note, {"Nats-Msg-Id": f"done:{letter}:replay"})


async def causes(m: Mesh, key: str = "p-1") -> dict[str, str]:
    """By step of the story: what it follows from."""
    return {step.id: step.cause for step in await trace(m.control, topology_of(m), key)}


async def refusals(m: Mesh, domain: str) -> list[Any]:
    return await m.stored(REFUSALS, f"refusals.{domain}-service.>")


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_outcome_that_was_decided_but_not_acked_is_our_own(
    broker: Broker, unique: str, *, is_async: bool
) -> None:
    """In flight: the input comes again, to the new version."""
    async with working(broker, unique, nothing, is_async=is_async) as (m, consumer, placed):
        old = Old(m, unique)
        await stop(m, consumer)
        await m.publish(placed("p-1"))
        decided = await old.decides()
        consumer.inflow.start()
        await m.settled()
        assert (consumer.stats.repeated, consumer.stats.refused) == (1, 0)
        assert await refusals(m, unique) == []
        told = await causes(m)
        assert told[f"{decided.stream}:{decided.sequence}"] == f"{old.stream}:1"


async def test_a_retry_waits_on_the_lane_is_told_and_goes_on_with_its_count(
    broker: Broker, unique: str
) -> None:
    attempts: list[tuple[int, str]] = []

    def work(_: str, delivery: Delivery) -> None:
        attempts.append((delivery.attempt, delivery.cause))
        raise ValueError("no luck")

    async with working(broker, unique, work, attempts=3) as (m, consumer, placed):
        old = Old(m, unique)
        await stop(m, consumer)
        stored = await m.publish(placed("p-1"))
        await m.control.api(
            f"CONSUMER.DELETE.{old.stream}.{consumer.handler.durable}"
        )  # as if it were acked
        put = await old.retries(after=2)
        steps = await trace(m.control, topology_of(m), "p-1")
        (step,) = [each for each in steps if each.id == f"{old.stream}:1"]
        assert "tries again at" in step.waits[0]
        assert "attempt 2" in step.waits[0]
        letter = await eventually(
            lambda: m.control.last(DEADLETTERS, f"deadletters.{old.service}.>")
        )
        assert letter.headers["Jetmesh-Attempts"] == "3"
        assert [number for number, _ in attempts] == [2, 3]
        assert len({cause for _, cause in attempts}) == 1
        assert (await causes(m))[f"{DEADLETTERS}:{letter.sequence}"] == f"{old.stream}:1"
        assert (stored.sequence, put.stream) == (1, lane_stream(old.service))


async def test_a_replay_that_lies_on_the_lane_is_handled_once(broker: Broker, unique: str) -> None:
    async with working(broker, unique, nothing) as (m, consumer, placed):
        old = Old(m, unique)
        await m.publish(placed("p-1"))
        await m.settled()
        first = await outcomes(m, unique)
        consumer.lane.stop()
        put = await old.replays(1)
        letter = await find(m.control, (await old.gives_up()).sequence)
        assert f"({put.stream}:{put.sequence})" in await lane_status(m.control, letter)
        consumer.lane.start()
        await m.settled()
        assert await outcomes(m, unique) == first
        assert consumer.stats.repeated == 1
        assert await refusals(m, unique) == []


async def test_a_letter_is_listed_replayed_and_its_story_is_one(
    broker: Broker, unique: str
) -> None:
    """It fails once more: the new letter belongs to the old one."""
    fails = True

    def work(_: str, __: Delivery) -> None:
        if fails:
            raise ValueError("no luck")

    async with working(broker, unique, work, attempts=1) as (m, _, placed):
        old = Old(m, unique)
        await m.publish(placed("p-1"))
        await m.settled()
        await m.control.forget(DEADLETTERS, f"deadletters.{old.service}.>")
        number = (await old.gives_up()).sequence
        desk = desk_of(m.control)
        outcome = await desk.send(await desk.prepare(await desk.open(number)))
        assert outcome.result == "replayed"
        await m.settled()
        again = [each.sequence for each in await letters(m, unique) if each.payload == BODY]
        assert again[0] == number
        assert len(again) == 2
        for each in again:
            story = await history(m.control, await find(m.control, each))
            assert [entry.letter.sequence for entry in story] == again
        fails = False
        await desk.send(await desk.prepare(await desk.open(again[1])))
        await m.settled()
        (done,) = await outcomes(m, unique)
        assert (await causes(m))[f"{done.stream}:{done.sequence}"] == f"{old.stream}:1"


async def test_a_letter_with_an_old_note_is_not_open(broker: Broker, unique: str) -> None:
    async with working(broker, unique, nothing) as (m, _, placed):
        old = Old(m, unique)
        await m.publish(placed("p-1"))
        number = (await old.gives_up()).sequence
        selector = Selector(service=old.service)
        assert [*(await select(m.control, selector)).sequences] == [number]
        await old.notes(number)
        assert [*(await select(m.control, selector)).sequences] == []


async def test_a_payload_that_was_left_in_its_stream_is_found(broker: Broker, unique: str) -> None:
    async with working(broker, unique, nothing) as (m, _, placed):
        old = Old(m, unique)
        await m.publish(placed("p-1"))
        number = (await old.gives_up(**{"Jetmesh-Payload": "left in its stream"})).sequence
        assert (await content_of(m.control, await find(m.control, number))).payload == BODY


async def test_a_quarantine_mark_counts_and_is_removed(broker: Broker, unique: str) -> None:
    """Three processes of the old version died of it: it is not run once more."""
    runs: list[str] = []

    def work(key: str, _: Delivery) -> None:
        runs.append(key)

    async with working(broker, unique, work) as (m, consumer, placed):
        old = Old(m, unique)
        await stop(m, consumer)
        await m.publish(placed("p-1"))
        mark = f"lanes.{old.service}.do.{old.stream}.1.suspect"
        await m.publish(mark, b"", {"Jetmesh-Deaths": "3"})
        for _ in range(4):
            await lose_one(m, consumer)
        consumer.inflow.start()
        letter = await eventually(
            lambda: m.control.last(DEADLETTERS, f"deadletters.{old.service}.>")
        )
        assert (letter.headers["Jetmesh-Error"], runs) == ("Poison", [])

        async def removed() -> bool:
            return await m.control.last(lane_stream(old.service), mark) is None

        await eventually(removed, what="no mark")
