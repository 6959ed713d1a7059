"""Events that come later, of handlers without a state, on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from msgspec import Struct

from jetmesh import Cancel, Delivery, Later, Retry, Service, days, event, seconds
from jetmesh.declare import declared_spec, derive
from jetmesh.operate.deadletters.desk import Desk as LetterDesk
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.deadlines import alarms_of
from jetmesh.protocol.headers import DEADLINE, ERROR, MESSAGE, MESSAGE_ID
from jetmesh.protocol.ids import cause_of
from jetmesh.runtime.rehearsing.rehearsal import Rehearsal
from jetmesh.runtime.rehearsing.stored import newest
from jetmesh.testing import Mesh, eventually, mesh

LATER, CANCEL, LIST = (cast("Any", each) for each in (Later, Cancel, list))
"""For annotations of events that a test makes."""


class Desk:
    """Contracts in a domain of their own, and a service that sets and cancels deadlines."""

    def __init__(self, unique: str) -> None:
        @event(f"{unique}-in.opened", key="id")
        class Opened(Struct, frozen=True):
            id: str
            within: float = 0.0

        @event(f"{unique}-in.closed", key="id")
        class Closed(Struct, frozen=True):
            id: str

        @event(f"{unique}-out.overdue", key="id")
        class Overdue(Struct, frozen=True):
            id: str
            text: str = ""

        self.domain = unique
        self.opened, self.closed, self.overdue = Opened, Closed, Overdue
        self.service = Service(f"{unique}-desk")

    def on(self, event_type: Any, returns: Any, name: str, function: Callable[..., Any]) -> None:
        def handle(event: Any, delivery: Delivery) -> Any:
            return function(event, delivery)

        handle.__annotations__ = {"event": event_type, "delivery": Delivery, "return": returns}
        self.service.on(event_type, name=name)(handle)

    def remind(self) -> None:
        self.on(
            self.opened,
            LATER[self.overdue],
            "remind",
            lambda opened, _: Later(self.overdue(opened.id), after=seconds(opened.within)),
        )

    def forget(self) -> None:
        self.on(
            self.closed,
            CANCEL[self.overdue],
            "forget",
            lambda closed, _: Cancel(self.overdue, closed.id),
        )

    async def came(self, m: Mesh, key: str = "*") -> list[Any]:
        return await m.stored(
            declared_spec(self.overdue).stream, f"{self.domain}-out.overdue.{key}"
        )

    async def waiting(self, m: Mesh) -> list[Any]:
        return await m.stored(f"LANES_{self.service.name}", alarms_of(self.service.name))

    async def letters(self, m: Mesh) -> list[Any]:
        return await m.stored("DEADLETTERS", f"deadletters.{self.service.name}.>")


async def test_an_event_comes_when_it_is_due_and_says_what_it_was_caused_by(
    broker: Broker, unique: str
) -> None:
    desk = Desk(unique)
    desk.remind()
    async with mesh(desk.service, url=broker.url) as m:
        asked = await m.publish(desk.opened("a", within=1.0))
        message = await m.control.message(asked.stream, asked.sequence)
        await eventually(lambda: desk.waiting(m))
        assert await desk.came(m) == []

        assert (await m.expect(desk.overdue, "a")).id == "a"
        (came,) = await desk.came(m)
        cause = cause_of(came.headers[MESSAGE_ID])

        assert message is not None
        assert cause is not None
        assert (cause.stream, cause.sequence) == (asked.stream, str(asked.sequence))
        assert came.stored_at - message.stored_at >= timedelta(seconds=1)
        await m.settled()
        assert await desk.waiting(m) == []


async def test_one_that_is_due_already_comes_at_once(broker: Broker, unique: str) -> None:
    desk = Desk(unique)
    past = datetime(2020, 1, 1, tzinfo=UTC)
    desk.on(
        desk.opened,
        LATER[desk.overdue],
        "remind",
        lambda opened, _: Later(desk.overdue(opened.id), at=past),
    )
    async with mesh(desk.service, url=broker.url) as m:
        await m.publish(desk.opened("a"))
        await m.expect(desk.overdue, "a")


async def test_another_one_of_the_same_name_takes_its_place(broker: Broker, unique: str) -> None:
    desk = Desk(unique)
    desk.on(
        desk.opened,
        LATER[desk.overdue],
        "remind",
        lambda opened, _: Later(
            desk.overdue(opened.id, f"after {opened.within}"), after=seconds(opened.within)
        ),
    )
    async with mesh(desk.service, url=broker.url) as m:
        for within in (3600.0, 7200.0, 0.5):
            await m.publish(desk.opened("a", within=within))
        await m.settled()
        found = await m.expect(desk.overdue, "a")

        assert found.text == "after 0.5"
        assert await desk.waiting(m) == []


async def test_several_of_one_event_have_names(broker: Broker, unique: str) -> None:
    desk = Desk(unique)

    def remind(opened: Any, _: Delivery) -> list[Later[Any]]:
        texts = ("first", "last: one", "_")
        return [Later(desk.overdue(opened.id, t), after=seconds(0.1), name=t) for t in texts]

    desk.on(desk.opened, LIST[LATER[desk.overdue]], "remind", remind)
    async with mesh(desk.service, url=broker.url) as m:
        await m.publish(desk.opened("a"))
        came = await eventually(lambda: _as_many(desk, m, 3))

        assert len({each.headers[MESSAGE_ID] for each in came}) == 3


async def _as_many(desk: Desk, m: Mesh, number: int) -> list[Any]:
    came = await desk.came(m)
    return came if len(came) >= number else []


async def test_a_cancelled_one_never_comes(broker: Broker, unique: str) -> None:
    desk = Desk(unique)
    desk.remind()
    desk.forget()
    async with mesh(desk.service, url=broker.url) as m:
        await m.publish(desk.opened("a", within=3600.0))
        await m.publish(desk.opened("b", within=3600.0))
        await m.settled()
        assert len(await desk.waiting(m)) == 2
        await m.publish(desk.closed("a"))
        await m.publish(desk.closed("nobody"))
        await m.settled()

        (left,) = await desk.waiting(m)
        assert left.subject.split(".")[4] == "b"


async def test_what_the_annotation_does_not_name_is_a_dead_letter(
    broker: Broker, unique: str
) -> None:
    desk = Desk(unique)
    wrong: dict[str, Callable[[], Any]] = {
        "naive": lambda: Later(desk.overdue("a"), at=datetime(2030, 1, 1)),  # noqa: DTZ001 - a naive one is meant
        "negative": lambda: Later(desk.overdue("a"), after=seconds(-1)),
        "never": lambda: Later(desk.overdue("a"), after=days(100_000)),
        "another": lambda: Later(desk.closed("a"), after=seconds(1)),
        "cancels": lambda: Cancel(desk.overdue, "a"),
        "now": lambda: desk.overdue("a"),
        "both": lambda: [Later(desk.overdue("a"), after=days(1))] * 2,
    }
    desk.on(desk.opened, LATER[desk.overdue], "remind", lambda opened, _: wrong[opened.id]())
    async with mesh(desk.service, url=broker.url) as m:
        for each in wrong:
            await m.publish(desk.opened(each))
        letters = await eventually(lambda: _letters(desk, m, len(wrong)))
        told = {each.subject.rpartition(".")[2]: each.headers for each in letters}

        assert {key: headers[ERROR] for key, headers in told.items()} == {
            "naive": "ContractViolation",
            "negative": "ContractViolation",
            "never": "ContractViolation",
            "another": "UndeclaredOutput",
            "cancels": "UndeclaredOutput",
            "now": "UndeclaredOutput",
            "both": "ConflictingOutputs",
        }
        assert "without a time zone" in told["naive"][MESSAGE]
        assert "Cancel[Overdue]" in told["cancels"][MESSAGE]
        assert await desk.waiting(m) == []


async def _letters(desk: Desk, m: Mesh, number: int) -> list[Any]:
    found = await desk.letters(m)
    return found if len(found) >= number else []


async def test_an_outcome_that_comes_later_leaves_a_decided_key_alone(
    broker: Broker, unique: str
) -> None:
    @event(f"{unique}-in.opened", key="id")
    class Opened(Struct, frozen=True):
        id: str

    @event(f"{unique}-in.answered", key="id")
    class Answered(Struct, frozen=True):
        id: str

    @event(f"{unique}.closed", key="id", decision=f"{unique}.*")
    class Closed(Struct, frozen=True):
        id: str

    @event(f"{unique}.lapsed", key="id", decision=f"{unique}.*")
    class Lapsed(Struct, frozen=True):
        id: str

    service = Service(f"{unique}-desk")

    @service.on(Opened)
    def remind(opened: Opened) -> Later[Lapsed]:
        return Later(Lapsed(opened.id), after=seconds(1))

    @service.on(Answered)
    def close(answered: Answered) -> Closed:
        return Closed(answered.id)

    async with mesh(service, url=broker.url) as m:
        for key in ("in-time", "never"):
            await m.publish(Opened(key))
        await m.publish(Answered("in-time"))
        await m.expect(Lapsed, "never")
        lane = f"LANES_{service.name}"
        await eventually(lambda: _is_empty(m, lane, alarms_of(service.name)))
        await m.settled()
        outcomes = await m.stored(unique.upper())
        stats = {each.handler.name: each.stats for each in m.running[service.name].consumers}

        assert sorted(each.subject for each in outcomes) == [
            f"{unique}.closed.in-time",
            f"{unique}.lapsed.never",
        ]
        assert stats["remind"].lost == 1
        assert await m.stored("REFUSALS", f"refusals.{service.name}.>") == []


async def _is_empty(m: Mesh, stream: str, subject: str) -> bool:
    return not await m.stored(stream, subject)


async def test_nobody_outside_makes_an_event_come(broker: Broker, unique: str) -> None:
    """What stands in the headers of an input is the publisher's, on the lane, too."""
    desk = Desk(unique)
    tried: list[int] = []

    def remind(_: Any, delivery: Delivery) -> None:
        tried.append(delivery.attempt)
        if len(tried) < 3:
            raise Retry(after=0.1)

    desk.on(desk.opened, LATER[desk.overdue] | None, "remind", remind)
    forged = {DEADLINE: f"{unique}-out.overdue a _"}
    async with mesh(desk.service, url=broker.url) as m:
        await m.publish(f"{unique}-in.opened.a", b'{"id":"a","text":"forged"}', forged)
        await eventually(lambda: len(tried) == 3)
        await m.settled()

        assert tried == [1, 2, 3]
        assert await desk.came(m) == []


async def test_one_that_nobody_declares_any_more_is_a_dead_letter_that_can_be_replayed(
    broker: Broker, unique: str
) -> None:
    before, after, again = Desk(unique), Desk(unique), Desk(unique)
    before.remind()
    after.on(after.opened, None, "remind", lambda _, __: None)
    again.remind()
    async with mesh(before.service, url=broker.url) as m:
        await m.publish(before.opened("a", within=1.0))
        await eventually(lambda: before.waiting(m))
    async with mesh(after.service, url=broker.url) as m:
        (letter,) = await eventually(lambda: _letters(after, m, 1), within=20)
        assert "names no Later of it any more" in letter.headers[MESSAGE]
        assert await m.control.holders(f"{unique}-out.>") != []
        sequence = letter.sequence
    async with mesh(again.service, url=broker.url) as m:
        desk = LetterDesk(m.control, by="test")
        await desk.send(await desk.prepare(await desk.open(sequence)))

        assert (await m.expect(again.overdue, "a")).id == "a"


async def test_it_survives_the_death_of_the_server(tmp_path: Path, unique: str) -> None:
    desk = Desk(unique)
    desk.remind()
    broker = Broker(tmp_path)
    with broker:
        async with mesh(desk.service, url=broker.url) as m:
            await m.publish(desk.opened("a", within=1.0))
            await eventually(lambda: desk.waiting(m))
            broker.kill()
            await asyncio.sleep(1.0)  # it is due while nobody is there
            broker.start()
            assert (await m.expect(desk.overdue, "a", within=30)).id == "a"
            await m.settled(within=30)
            assert len(await desk.came(m)) == 1


async def test_a_rehearsal_gives_the_time_of_the_message_and_sets_nothing(
    broker: Broker, unique: str
) -> None:
    desk = Desk(unique)
    seen: list[datetime] = []

    def remind(opened: Any, delivery: Delivery) -> Any:
        seen.append(delivery.now)
        assert delivery.now == seen[-1], "the same throughout an attempt"
        return Later(desk.overdue(opened.id), at=delivery.now + days(1))

    desk.on(desk.opened, LATER[desk.overdue], "remind", remind)
    async with mesh(desk.service, url=broker.url) as m:
        asked = await m.publish(desk.opened("a"))
        await m.settled()
        stored = await m.control.message(asked.stream, asked.sequence)
        waiting = await desk.waiting(m)
        (handler,) = desk.service.handlers
        several = await newest(m.control, handler, 10)
        rehearsal = Rehearsal(desk.service, None, derive([desk.service]))
        report = await rehearsal.compare(handler, several)

        assert stored is not None
        assert seen[0] > stored.stored_at
        assert seen[1] == stored.stored_at
        assert report.same == 1
        assert await desk.waiting(m) == waiting
