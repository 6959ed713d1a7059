"""Deadlines that a state keeps, on a real broker: each fires once, or never."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from msgspec import Raw, Struct

from jetmesh import Cancel, Forget, Later, Service, event, seconds, state
from jetmesh.declare import declared_spec, derive
from jetmesh.operate.deadlines import acts
from jetmesh.operate.deadlines.waiting import found
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.deadlines import alarms_of, pending_of
from jetmesh.protocol.headers import APPLIED, DEADLINES, FOLLOWING, MESSAGE, MESSAGE_ID
from jetmesh.protocol.ids import cause_of
from jetmesh.protocol.steps import Applied, Following, applied_text, following_text
from jetmesh.testing import Mesh, eventually, mesh

ANY = cast("Any", tuple)


class Desk:
    """Contracts in a domain of their own, and a service that keeps deadlines in a state."""

    def __init__(self, unique: str) -> None:
        @event(f"{unique}-in.told", key="id")
        class Told(Struct, frozen=True):
            id: str
            what: str
            number: int = 0

        @event(f"{unique}-out.overdue", key="id")
        class Overdue(Struct, frozen=True):
            id: str
            number: int = 0

        @state(f"{unique}.tickets", key="id", history=50)
        class Ticket(Struct, frozen=True):
            id: str
            heard: int = 0

        self.told, self.overdue, self.ticket = Told, Overdue, Ticket
        self.stream = declared_spec(Ticket).stream
        self.overdue_stream = declared_spec(Overdue).stream
        self.service = Service(f"{unique}-desk")
        self.lanes = f"LANES_{self.service.name}"

    def hear(self, service: Service | None = None, name: str = "hear") -> None:
        """Each word is an order: `later 0.5`, `cancel`, `forget`."""
        told, overdue, ticket = self.told, self.overdue, self.ticket

        def hear(word: Any, known: Any) -> Any:
            what, _, argument = word.what.partition(" ")
            after = ticket(word.id, (known.heard if known else 0) + 1)
            match what:
                case "later":
                    due = Later(overdue(word.id, word.number), after=seconds(float(argument)))
                    return after, due
                case "since":
                    past = datetime.now(UTC) - seconds(float(argument))
                    return after, Later(overdue(word.id, word.number), at=past)
                case "cancel":
                    return after, Cancel(overdue, word.id)
                case "forget":
                    return Forget()
            return after

        hear.__annotations__ = {
            "word": told,
            "known": ticket | None,
            "return": ANY[
                ticket | Forget | None,
                cast("Any", Later)[overdue] | None,
                cast("Any", Cancel)[overdue] | None,
            ],
        }
        (service or self.service).on(told, state=ticket, name=name)(hear)

    async def tell(self, m: Mesh, key: str, what: str, number: int = 0) -> Any:
        return await m.publish(self.told(key, what, number))

    async def came(self, m: Mesh, key: str = "*") -> list[Any]:
        subject = f"{declared_spec(self.overdue).subject}.{key}"
        return await m.stored(self.overdue_stream, subject)

    async def alarms(self, m: Mesh) -> list[Any]:
        return await m.stored(self.lanes, alarms_of(self.service.name))

    async def pending(self, m: Mesh, key: str) -> tuple[Any, ...]:
        newest = await m.control.last(self.stream, f"{declared_spec(self.ticket).subject}.{key}")
        return pending_of(newest.headers.get(DEADLINES, "")) if newest else ()


@pytest.fixture
def desk(unique: str) -> Desk:
    made = Desk(unique)
    made.hear()
    return made


def eventually_none(look: Callable[[], Any]) -> Any:
    async def none() -> bool:
        return not await look()

    return eventually(none)


async def test_a_deadline_of_a_state_fires_once_and_is_no_more(broker: Broker, desk: Desk) -> None:
    async with mesh(desk.service, url=broker.url) as m:
        asked = await desk.tell(m, "a", "later 0.8", 7)
        await m.settled()
        (pending,) = await desk.pending(m, "a")
        assert await desk.came(m) == []

        assert (await m.expect(desk.overdue, "a")).number == 7
        await m.settled()
        (came,) = await desk.came(m)
        cause = cause_of(came.headers[MESSAGE_ID])

        assert cause is not None
        assert (cause.stream, cause.sequence) == (asked.stream, str(asked.sequence))
        assert came.stored_ns >= pending.due
        assert await desk.pending(m, "a") == ()
        assert await desk.alarms(m) == []


async def test_one_of_a_state_that_is_due_already_comes_at_once(broker: Broker, desk: Desk) -> None:
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "since 3600", 7)
        assert (await m.expect(desk.overdue, "a")).number == 7
        await m.settled()
        assert len(await desk.came(m)) == 1
        assert await desk.pending(m, "a") == ()


async def test_a_postponed_one_fires_when_it_was_postponed_to(broker: Broker, desk: Desk) -> None:
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "later 0.4", 1)
        for number in (2, 3, 4):
            await desk.tell(m, "a", "later 1.2", number)
        await m.settled()
        (pending,) = await desk.pending(m, "a")
        assert len(await desk.alarms(m)) == 1

        assert (await m.expect(desk.overdue, "a")).number == 4
        await m.settled()
        (came,) = await desk.came(m)
        assert came.stored_ns >= pending.due


async def test_one_that_is_moved_forward_fires_then(broker: Broker, desk: Desk) -> None:
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "later 3600", 1)
        await desk.tell(m, "a", "later 0.2", 2)

        assert (await m.expect(desk.overdue, "a")).number == 2
        await m.settled()
        assert await desk.pending(m, "a") == ()
        await eventually_none(lambda: desk.alarms(m))


@pytest.mark.parametrize("how", ["cancel", "forget"])
async def test_one_that_was_ended_never_comes(broker: Broker, desk: Desk, how: str) -> None:
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "later 3600")
        await m.settled()
        assert len(await desk.alarms(m)) == 1
        await desk.tell(m, "a", how)
        await m.settled()

        assert await desk.pending(m, "a") == ()
        await eventually_none(lambda: desk.alarms(m))


async def test_an_alarm_that_rings_for_nothing_changes_nothing(broker: Broker, desk: Desk) -> None:
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "later 3600", 1)
        await m.settled()
        (alarm,) = await desk.alarms(m)
        ours = {name: v for name, v in alarm.headers.items() if name.startswith("Jetmesh-")}
        await desk.tell(m, "a", "cancel")
        await m.settled()
        before = await m.stored(desk.stream)
        # as if it had been on its way to the lane while it was cancelled
        await m.control.publish(f"lanes.{desk.service.name}.hear.a", b"", ours)
        await m.settled()

        assert await desk.came(m) == []
        assert [each.sequence for each in await m.stored(desk.stream)] == [
            each.sequence for each in before
        ]
        assert await m.stored("DEADLETTERS", f"deadletters.{desk.service.name}.>") == []


async def test_an_alarm_that_rings_too_early_is_set_again(broker: Broker, desk: Desk) -> None:
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "later 3600", 1)
        await m.settled()
        (alarm,) = await desk.alarms(m)
        ours = {name: v for name, v in alarm.headers.items() if name.startswith("Jetmesh-")}
        await m.control.publish(f"lanes.{desk.service.name}.hear.a", b"", ours)
        await m.settled()

        assert await desk.came(m) == []
        assert len(await desk.pending(m, "a")) == 1
        assert len(await desk.alarms(m)) == 1


async def test_a_lost_alarm_is_set_again_by_whoever_reads_the_key(
    broker: Broker, desk: Desk
) -> None:
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "later 2", 1)
        await m.settled()
        await m.control.api(f"STREAM.PURGE.{desk.lanes}", {})
        assert await desk.alarms(m) == []
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "hello")

        assert (await m.expect(desk.overdue, "a")).number == 1
        await m.settled()
        assert len(await desk.came(m)) == 1


async def test_one_that_its_state_would_not_live_to_see_is_a_dead_letter(
    broker: Broker, desk: Desk
) -> None:
    settings = {f"JETMESH__STREAMS__{desk.stream}__MAX_AGE": "1h"}
    async with mesh(desk.service, url=broker.url, settings=settings) as m:
        await desk.tell(m, "a", "later 3000")
        await desk.tell(m, "b", "later 4000")
        await m.settled()
        (letter,) = await m.stored("DEADLETTERS", f"deadletters.{desk.service.name}.>")

        assert f"raise streams.{desk.stream}.max_age" in letter.headers[MESSAGE]
        assert len(await desk.alarms(m)) == 1


async def test_a_follower_that_is_behind_cancels_nothing(broker: Broker, desk: Desk) -> None:
    """It answers with what was stored before the deadline was, and for longer than one waits."""
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "hello")
        await m.settled()  # or one step takes in both
        await desk.tell(m, "a", "later 8", 1)
        await m.settled()
        await m.control.api(f"STREAM.PURGE.{desk.lanes}", {})
    async with mesh(desk.service, url=broker.url) as m:
        lookups = m.running[desk.service.name]._plane.lookups
        plain, asked = lookups.last, 0
        subject = f"{declared_spec(desk.ticket).subject}.a"
        old = await m.control.first(desk.stream, subject)
        (kept,) = [each async for each in found(m.control, derive([desk.service]))]
        await eventually(lambda: datetime.now(UTC) > kept.waiting.due, within=60)

        async def behind() -> Any:
            return old

        def last(stream: str, about: str) -> Any:
            nonlocal asked
            if about != subject:
                return plain(stream, about)
            asked += 1
            return behind() if asked <= 25 else plain(stream, about)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(lookups, "last", last)
            await acts.wake(m.control, kept)
            assert (await m.expect(desk.overdue, "a", within=60)).number == 1
        assert asked > 25
        await m.settled()
        assert len(await desk.came(m)) == 1


async def test_a_process_that_reads_the_key_sets_no_alarm_that_has_just_rung(
    broker: Broker, desk: Desk
) -> None:
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "later 3", 1)
        await m.settled()
    async with mesh(desk.service, url=broker.url) as m:
        await m.expect(desk.overdue, "a", within=60)
        await m.settled()
        info = await m.control.api(f"STREAM.INFO.{desk.lanes}")

        assert info["state"]["last_seq"] == 2, "the alarm, and what came of it on the lane"


async def test_a_key_says_that_it_waits_for_an_output_that_no_handler_returns_any_more(
    broker: Broker, desk: Desk
) -> None:
    """Other code made that step: this one knows neither its stream nor how to read the event."""
    domain = declared_spec(desk.told).subject.partition("-in.")[0]
    place, identity = f"{domain}-in.told.b", f"{domain}-desk:hear:{domain.upper()}_IN:1-1:x"
    async with mesh(desk.service, url=broker.url) as m:
        body = b'{"id":"b","what":"hello"}'
        await m.control.publish(place, body, {MESSAGE_ID: identity})
        follows = following_text([Following(place, identity, Raw(body))])
        step = {APPLIED: applied_text(Applied()), FOLLOWING: follows}
        await m.control.publish(f"states.{domain}.tickets.a", b'{"id":"a"}', step)
        await desk.tell(m, "a", "hello")
        health = m.running[desk.service.name].health

        def says() -> bool:
            return any("no handler here returns such an event" in p for p in health.problems())

        await eventually(says, within=60)
