"""`jetmesh can-deploy` in front of events that are to come later: the new code has to read them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec import Struct, defstruct

from jetmesh import Cancel, Later, Service, derive, event, seconds, state, upcasts
from jetmesh.declare import declared_spec
from jetmesh.operate.evolution.dropping import held
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.deadlines import alarms_of
from jetmesh.settings import NatsSettings
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.test_can_deploy import told

COUNT = 1000
LATER, CANCEL, ANY = (cast("Any", each) for each in (Later, Cancel, tuple))
OLD: Any = [("id", str)]
NEW: Any = [("id", str), ("reason", str)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """One for each test: the mesh's own streams are everyone's."""
    with Broker(tmp_path / "nats") as started:
        yield started


class Desk:
    """A service that has an event come later, kept in a state or on its lane, and a reader."""

    def __init__(self, unique: str, *, kept: bool, fields: Any = OLD, **how: Any) -> None:
        @event(f"{unique}-in.opened", key="id")
        class Opened(Struct, frozen=True):
            id: str
            within: float = 3600.0

        @state(f"{unique}.tickets", key="id", history=5)
        class Ticket(Struct, frozen=True):
            id: str

        made = defstruct("Overdue", fields, frozen=True)
        self.opened = Opened
        self.ticket: Any = Ticket
        self.overdue: Any = event(f"{unique}-out.overdue", key="id", **how)(made)
        self.kept = kept
        self.service, self.reader = Service(f"{unique}-desk"), Service(f"{unique}-reader")
        self.services = self.service, self.reader
        self.lanes = f"LANES_{unique}-desk"

        def expire(overdue: Any) -> None: ...

        expire.__annotations__ = {"overdue": self.overdue, "return": None}
        self.reader.on(self.overdue)(expire)

    def wait(self) -> None:
        """Negative: it is cancelled."""
        overdue, ticket = self.overdue, self.ticket

        def of(opened: Any) -> Any:
            if opened.within < 0:
                return Cancel(overdue, opened.id)
            return Later(overdue(opened.id), after=seconds(opened.within))

        returns = LATER[overdue] | CANCEL[overdue]
        if self.kept:

            def wait(opened: Any, _: Any) -> Any:
                return ticket(opened.id), of(opened)

            returned = ANY[ticket, returns]
            wait.__annotations__ = {"opened": self.opened, "_": ticket | None, "return": returned}
            self.service.on(self.opened, state=ticket)(wait)
        else:
            of.__annotations__ = {"opened": self.opened, "return": returns}
            self.service.on(self.opened, name="wait")(of)

    def only_look(self) -> None:
        """As if nothing came later any more."""
        ticket = self.ticket

        def look(opened: Any) -> None: ...

        def keep(opened: Any, known: Any) -> Any:
            return known

        look.__annotations__ = {"opened": self.opened, "return": None}
        maybe = ticket | None
        keep.__annotations__ = {"opened": self.opened, "known": maybe, "return": maybe}
        if self.kept:
            self.service.on(self.opened, state=ticket, name="wait")(keep)
        else:
            self.service.on(self.opened, name="wait")(look)


def desk_of(unique: str, *, kept: bool, **how: Any) -> Desk:
    made = Desk(unique, kept=kept, **how)
    made.wait()
    return made


async def set_many(broker: Broker, desk: Desk) -> None:
    async with mesh(*desk.services, url=broker.url) as m:
        several = (m.publish(desk.opened(f"t-{number}")) for number in range(COUNT))
        await asyncio.gather(*several)
        await eventually(lambda: has(m, desk, COUNT), within=120)
        await m.settled(within=60)


async def has(m: Mesh, desk: Desk, count: int) -> bool:
    await asyncio.sleep(0.1)
    return await m.control.count(desk.lanes, [alarms_of(desk.service.name)]) == count


@pytest.mark.parametrize("kept", [False, True])
async def test_a_thousand_that_wait_and_the_new_code_cannot_read_keep_it_from_being_deployed(
    broker: Broker, unique: str, *, kept: bool
) -> None:
    await set_many(broker, desk_of(unique, kept=kept))
    found = await told(broker, desk_of(unique, kept=kept, fields=NEW).services)
    place = f"{unique}.tickets" if kept else f"{unique}-desk.wait"
    reader = f"{unique}-reader.expire" if kept else f"{unique}-desk.wait"
    stream = f"STATES_{unique.upper()}_TICKETS" if kept else f"LANES_{unique}-desk"
    assert not found.report.deployable
    lines = found.text.splitlines()
    at = lines.index(f"0 of 1,000 {unique}-out.overdue to come later, of {place}, decode")
    why, who = lines[at + 1 : at + 3]
    start = "    1,000: Object missing required field `reason`, the first is "
    assert why.startswith(f"{start}{stream}:")
    assert who == f"    {reader} would dead-letter 1,000"
    assert lines[-1].startswith(
        "It cannot be deployed: 1,000 events to come later would be lost. Keep the old field"
    )


@pytest.mark.parametrize("kept", [False, True])
async def test_what_the_new_code_reads_or_an_upcaster_makes_readable_can_come(
    broker: Broker, unique: str, *, kept: bool
) -> None:
    await set_many(broker, desk_of(unique, kept=kept))
    place = f"{unique}.tickets" if kept else f"{unique}-desk.wait"
    same = await told(broker, desk_of(unique, kept=kept).services)
    assert same.report.deployable
    assert f"1,000 of 1,000 {unique}-out.overdue to come later, of {place}, decode" in same.text

    newer = desk_of(unique, kept=kept, fields=NEW, version=2)

    @upcasts(1, newer.overdue)
    def add_a_reason(old: dict[str, Any]) -> dict[str, Any]:
        return old | {"reason": "nobody said"}

    assert (await told(broker, newer.services)).report.deployable


@pytest.mark.parametrize("kept", [False, True])
async def test_what_nobody_has_come_later_any_more_is_told_and_becomes_a_dead_letter(
    broker: Broker, unique: str, *, kept: bool
) -> None:
    before, after = desk_of(unique, kept=kept), Desk(unique, kept=kept)
    after.only_look()
    async with mesh(*before.services, url=broker.url) as m:
        await m.publish(before.opened("a", 5.0))
        await eventually(lambda: has(m, before, 1))
        await m.settled()
    found = await told(broker, after.services)
    state = f"no handler that remembers {unique}.tickets names a Later"
    who = state if kept else f"{unique}-desk.wait names no Later"
    assert not found.report.deployable
    rest = "of it any more; keep it until none of them waits, the first is "
    assert f"    1: {who} {rest}" in found.text
    assert "1 event to come later would be lost" in found.text
    async with mesh(*after.services, url=broker.url) as m:

        async def letters() -> list[Any]:
            return await m.stored("DEADLETTERS", f"deadletters.{unique}-desk.>")

        (letter,) = await eventually(letters, within=60)
        assert "Later of it any more" in letter.headers["Jetmesh-Message"]
        assert await m.stored(declared_spec(after.overdue).stream) == []


@pytest.mark.parametrize("kept", [False, True])
async def test_what_was_cancelled_keeps_nothing_from_being_deployed(
    broker: Broker, unique: str, *, kept: bool
) -> None:
    before = desk_of(unique, kept=kept)
    async with mesh(*before.services, url=broker.url) as m:
        await m.publish(before.opened("a"))
        await eventually(lambda: has(m, before, 1))
        await m.publish(before.opened("a", -1.0))
        await eventually(lambda: has(m, before, 0))
        await m.settled()
    found = await told(broker, desk_of(unique, kept=kept, fields=NEW).services)
    assert found.report.deployable, found.text
    assert found.report.deadlines == []


async def test_an_alarm_that_rang_while_nobody_was_there_is_no_input_of_its_handler(
    broker: Broker, unique: str
) -> None:
    desk = desk_of(unique, kept=False)
    async with mesh(*desk.services, url=broker.url) as m:
        await m.publish(desk.opened("a", 1.0))
        await eventually(lambda: has(m, desk, 1))
    async with mesh(desk.reader, url=broker.url) as m:
        await eventually(lambda: m.stored(desk.lanes, f"lanes.{unique}-desk.wait.*"), within=60)
    same = await told(broker, desk.services)
    assert same.report.deployable, same.text
    assert same.report.lanes == []
    (waiting,) = same.report.deadlines
    assert (waiting.waiting, waiting.unreadable) == (1, 0)
    found = await told(broker, desk_of(unique, kept=False, fields=NEW).services)
    assert not found.report.deployable


@pytest.mark.parametrize("kept", [False, True])
async def test_a_version_that_waits_to_come_later_is_not_dropped(
    broker: Broker, unique: str, *, kept: bool
) -> None:
    desk = desk_of(unique, kept=kept)
    async with mesh(*desk.services, url=broker.url) as m:
        await m.publish(desk.opened("a"))
        await eventually(lambda: has(m, desk, 1))
        await m.settled()
        newer = desk_of(unique, kept=kept, fields=NEW, version=2, oldest=2)
        spec = declared_spec(newer.overdue)
        nats = NatsSettings(url=broker.url)
        found = await held(nats, m.control, derive(newer.services), spec, 1)
    stream = f"STATES_{unique.upper()}_TICKETS" if kept else desk.lanes
    assert f"{stream} holds 1 message of it" in found
