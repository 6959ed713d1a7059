"""What operators see of deadlines, and end of them: `jetmesh schedule`, trace, doctor, audit."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jetmesh.operate.deadlines import acts
from jetmesh.operate.deadlines.waiting import Found, found
from jetmesh.operate.trace import Step, trace
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.command_line import Said, said
from tests.integration.one_handler import topology_of
from tests.integration.test_later import Desk
from tests.integration.test_later_states import Desk as StateDesk

__all__ = ["project"]


async def waiting(m: Mesh, key: str = "") -> list[Found]:
    return [each async for each in found(m.control, topology_of(m), key=key)]


async def test_the_story_of_a_key_tells_what_is_to_come_and_what_came(
    broker: Broker, unique: str
) -> None:
    desk = Desk(unique)
    desk.remind()
    key = f"{unique}-a"  # dead letters of any test are found by their key
    async with mesh(desk.service, url=broker.url) as m:
        await m.publish(desk.opened(key, within=5.0))
        await eventually(lambda: desk.waiting(m))
        (opened,) = await trace(m.control, topology_of(m), key)
        (text,) = [each for each in opened.waits if "is to come" in each]
        assert text.startswith(f"{unique}-out.overdue is to come at 20")
        await m.expect(desk.overdue, key, within=60)
        await m.settled()

        async def over() -> list[Step]:
            steps = await trace(m.control, topology_of(m), key)
            return [] if steps[0].waits else steps  # what is settled leaves the lane in a moment

        opened, came = await eventually(over, within=60)
        assert (came.cause, came.by) == (opened.id, f"{desk.service.name}.remind")
        (note,) = came.notes
        assert note.startswith("it came when its time had come, ")
        assert note.endswith(f" s after {opened.id}")


async def test_the_story_tells_what_a_state_keeps(broker: Broker, unique: str) -> None:
    desk = StateDesk(unique)
    desk.hear()
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "later 3600")
        await m.settled()
        steps = await trace(m.control, topology_of(m), "a")

        (told,) = [step for step in steps if any("is to come" in each for each in step.waits)]
        assert told.subject == f"{unique}-in.told"


async def test_what_waits_is_found_by_key_with_who_asked(broker: Broker, unique: str) -> None:
    desk = Desk(unique)
    desk.remind()
    async with mesh(desk.service, url=broker.url) as m:
        asked = await m.publish(desk.opened("a", within=3600))
        await m.publish(desk.opened("b", within=7200))
        await eventually(lambda: _as_many(m, 2))
        (one,) = await waiting(m, "a")

        assert one.waiting.handler == "remind"
        assert one.waiting.cause == f"{asked.stream}:{asked.sequence}"
        assert not one.waiting.overdue
        await acts.cancel(m.control, one)
        assert await waiting(m, "a") == []
        assert len(await waiting(m)) == 1


async def _as_many(m: Mesh, number: int) -> bool:
    return len(await waiting(m)) == number


async def test_an_operator_cancels_what_a_state_keeps_exactly(broker: Broker, unique: str) -> None:
    desk = StateDesk(unique)
    desk.hear()
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "later 3600")
        await m.settled()
        (one,) = await waiting(m, "a")
        await desk.tell(m, "a", "hello")
        await m.settled()
        with pytest.raises(Exception, match="changed meanwhile"):
            await acts.cancel(m.control, one)
        assert len(await desk.pending(m, "a")) == 1

        (one,) = await waiting(m, "a")
        await acts.cancel(m.control, one)
        assert await desk.pending(m, "a") == ()
        assert await desk.alarms(m) == []
        await desk.tell(m, "a", "hello")
        await m.settled()
        newest = await m.control.last(desk.stream, f"states.{unique}.tickets.a")
        assert newest is not None
        assert json.loads(newest.payload)["heard"] == 3


async def test_an_overdue_one_is_found_and_mended(broker: Broker, unique: str) -> None:
    desk = StateDesk(unique)
    desk.hear()
    async with mesh(desk.service, url=broker.url) as m:
        await desk.tell(m, "a", "later 2")
        await m.settled()
        await m.control.api(f"STREAM.PURGE.{desk.lanes}", {})
        (one,) = await waiting(m, "a")
        await eventually(lambda: datetime.now(UTC) > one.waiting.due)
        await acts.wake(m.control, one)

        await m.expect(desk.overdue, "a", within=60)
        await m.settled()
        assert len(await desk.came(m)) == 1
        assert await waiting(m) == []


SYSTEM = """
from msgspec import Struct
from jetmesh import Later, Service, System, event, hours

@event("parcels.sent", key="id")
class Sent(Struct, frozen=True):
    id: str

@event("parcels.late", key="id")
class Late(Struct, frozen=True):
    id: str
    email: str = "ana@example.org"

service = Service("parcels")

@service.on(Sent)
def watch(sent: Sent) -> Later[Late]:
    return Later(Late(sent.id), after=hours(1))

system = System("parcels", services=("parcels_system",))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    (tmp_path / "parcels_system.py").write_text(SYSTEM)
    monkeypatch.syspath_prepend(tmp_path)
    with Broker(tmp_path / "nats") as broker:
        yield broker
    sys.modules.pop("parcels_system", None)


def command(broker: Broker, *arguments: str) -> Said:
    return said(*arguments, "--system", "parcels_system:system", url=broker.url)


def test_the_commands_list_show_and_cancel(project: Broker) -> None:
    import asyncio  # noqa: PLC0415 - commands run outside of an event loop
    import importlib  # noqa: PLC0415 - the module is written by the fixture

    module = importlib.import_module("parcels_system")
    assert command(project, "apply").returncode == 0

    async def send() -> None:
        async with mesh(module.service, url=project.url) as m:
            await m.publish(module.Sent("p-1"))
            await m.publish(module.Sent("p-2"))
            await eventually(lambda: _waits(m, 2))

    asyncio.run(send())
    listed = command(project, "schedule", "ls")
    assert listed.returncode == 0
    assert listed.stdout.count("parcels.late") == 2
    as_data = json.loads(command(project, "schedule", "ls", "parcels", "--json").stdout)
    assert [each["key"] for each in as_data] == ["p-1", "p-2"]
    assert as_data[0]["handler"] == "watch"
    shown = command(project, "schedule", "show", "p-1").stdout
    assert '"id":"p-1"' in shown
    assert "ana@example.org" not in shown

    refused = command(project, "schedule", "cancel", "p-1")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    done = command(project, "schedule", "cancel", "p-1", "--yes", "--why", "it was found")
    assert done.returncode == 0
    assert command(project, "schedule", "show", "p-1").returncode == 1
    assert "p-2" in command(project, "schedule", "ls").stdout
    audit = json.loads(command(project, "audit", "ls", "--json").stdout)
    acts_done = [each["record"] for each in audit if each["record"]["act"] == "cancel"]
    assert [each.get("count") for each in acts_done] == [1, 1]
    assert "p-1" not in json.dumps(audit)
    assert "No deadline is overdue." in command(project, "schedule", "mend").stdout
    assert command(project, "schedule", "ls", "nobody").returncode == 2


async def _waits(m: Mesh, number: int) -> bool:
    return len(await waiting(m)) == number
