"""A store of 0.2 is brought over: nothing of its lanes is lost, whatever ends the process.

There all lanes were in one stream, `LANES`; now each service has its own (ADR-0019).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from jetmesh.cli.changes import describe
from jetmesh.errors import BrokerError, DriftError
from jetmesh.operate.apply import carry_out, moving, plan
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.survey import Target, survey
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.prepare import _provision
from jetmesh.runtime.running import Running
from jetmesh.settings import NatsSettings
from jetmesh.testing import _load, eventually, mesh
from jetmesh.transport import provision
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.stored import if_exists
from tests.integration.lanes_of_before import LANES, Before, before, body_of


@pytest_asyncio.fixture
async def old(own_broker: Broker) -> AsyncIterator[Before]:
    async with await ControlPlane.connect(NatsSettings(url=own_broker.url), name="t") as control:
        yield await before(own_broker, control)


async def apply(old: Before) -> None:
    settings, topology = NatsSettings(url=old.url), old.topology
    await carry_out(settings, old.control, topology, await plan(old.control, topology))


async def is_gone(old: Before) -> bool:
    return await if_exists(old.control.api(f"STREAM.INFO.{LANES}")) is None


async def handled(old: Before, keys: set[str]) -> None:
    """Run the service of today until it has an outcome for each key, and nothing more to do."""
    async with mesh(old.service, url=old.url) as m:
        wanted = {f"parcel.packed.{key}" for key in keys}

        async def all_packed() -> bool:
            return {each.subject for each in await m.stored("PARCEL")} == wanted

        await eventually(all_packed, within=30, what="an outcome of each")
        await m.settled(within=30)


async def test_what_is_open_goes_over_with_its_headers_and_order(old: Before) -> None:
    await old.suspects("p-7")
    for key in ("p-1", "p-2"):
        await old.is_due(key)
    await old.replays("p-3", letter=17)
    await old.settle(await old.pull())  # p-1, which 0.2 had not removed yet
    await old.retries("p-4", after=600)
    planned = await plan(old.control, old.topology)
    (move,) = [change for change in planned.changes if change.action == "move"]
    assert move.note == (
        "what it holds moves to 1 lane stream (2 due, 1 waiting for their time, "
        "1 marks of quarantine), then it is deleted"
    )
    assert planned.refused == ()
    await apply(old)
    assert await is_gone(old)
    assert (await plan(old.control, old.topology)).changes == ()
    mark, waits, due, replayed = await old.lanes()
    assert mark.headers["Jetmesh-Deaths"] == "2"
    assert mark.subject == f"lanes.pack.do.SHELF.{(await old.origin('p-7')).token}.suspect"
    assert waits.headers["Nats-Schedule-Target"] == "lanes.pack.do.p-4"
    assert waits.headers["Nats-Schedule"].startswith("@at ")
    assert [due.subject, replayed.subject] == ["lanes.pack.do.p-2", "lanes.pack.do.p-3"]
    assert replayed.message_id.startswith("replay:17-")
    assert due.headers["X-Given"] == "caf\udce9"
    assert due.headers.items() >= (await old.origin("p-2")).headers().items()
    assert due.payload == body_of("p-2")


async def test_everything_is_handled_once_afterwards(old: Before) -> None:
    await old.is_due("p-1")
    await old.retries("p-2", after=3)
    await old.replays("p-3", letter=17)
    await apply(old)
    await handled(old, {"p-1", "p-2", "p-3"})
    assert old.runs == {"p-1": 1, "p-2": 1, "p-3": 1}


class Killed(BaseException):
    """What a process does not survive."""


class Kill:
    """Ends the process at its `at`-th word that changes something, before or after it is heard."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int, *, heard: bool) -> None:
        self.at, self.heard = at, heard
        self.said: list[str] = []
        for name in ("api", "publish"):
            patch.setattr(ControlPlane, name, self._instead_of(getattr(ControlPlane, name)))

    def _instead_of(self, real: Any) -> Any:
        async def say(control: ControlPlane, subject: str, *rest: Any, **more: Any) -> Any:
            asks = re.search(r"INFO|LIST|NAMES|MSG.GET|CONSUMER.(CREATE|DELETE).LANES\w*$", subject)
            if asks or len(self.said) >= self.at:
                return await real(control, subject, *rest, **more)
            self.said.append(subject)
            if len(self.said) < self.at:
                return await real(control, subject, *rest, **more)
            if self.heard:
                await real(control, subject, *rest, **more)
            raise Killed

        return say


@pytest.mark.parametrize("heard", [False, True], ids=["before", "after"])
async def test_wherever_it_is_killed_the_next_apply_goes_on(
    old: Before, monkeypatch: pytest.MonkeyPatch, *, heard: bool
) -> None:
    """At every word in turn that changes something, until one apply comes to its end."""
    killed_at: list[str] = []
    while True:
        await old.replays("p-1", letter=17)
        await old.retries("p-2", after=600)
        await old.suspects("p-3")
        with monkeypatch.context() as patch:
            kill = Kill(patch, len(killed_at) + 1, heard=heard)
            try:
                await apply(old)
            except Killed:
                killed_at.append(kill.said[-1])
                ended = False
            else:
                ended = True
        await apply(old)
        assert await is_gone(old)
        found = [each.subject.rpartition(".")[2] for each in await old.lanes()]
        assert sorted(found) == ["later", "p-1", "suspect"], kill.said
        if ended:
            break
        await old.forget_all()
    told = " ".join(killed_at)
    for step in (
        "UPDATE.LANES",
        "CREATE.LANES_pack",
        "lanes.pack.do",
        "PURGE.LANES",
        "DELETE.LANES",
    ):
        assert step in told


async def test_a_copy_that_was_not_settled_any_more_is_not_made_twice(
    old: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while the server remembers its id, nor after that."""
    await old.is_due("p-1")
    await old.replays("p-2", letter=17)
    with monkeypatch.context() as patch:
        patch.setattr(DataPlane, "ack", lambda *_: None)
        patch.setattr(moving, "_SPARE_SECONDS", 0.1)
        with pytest.raises(BrokerError, match="2 on lanes could not be moved out of LANES"):
            await apply(old)
    forgets = (await old.control.api("STREAM.INFO.LANES_pack"))["config"]
    forgets["duplicate_window"] = 100_000_000
    await old.control.api("STREAM.UPDATE.LANES_pack", forgets)
    await asyncio.sleep(0.3)
    await apply(old)
    assert [each.subject for each in await old.lanes()] == [
        "lanes.pack.do.p-1",
        "lanes.pack.do.p-2",
    ]


async def test_a_retry_that_becomes_due_in_both_streams_is_run_once(
    old: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    await old.retries("p-1", after=1.5)

    async def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ControlPlane, "forget", killed)
        with pytest.raises(Killed):
            await apply(old)
    for stream in (LANES, "LANES_pack"):
        await eventually(
            lambda each=stream: old.control.last(each, "lanes.pack.do.p-1"),  # type: ignore[misc]  # bound now
            what="due in both",
        )
    await apply(old)
    await handled(old, {"p-1"})
    assert old.runs == {"p-1": 1}


async def test_what_a_process_of_the_version_before_has_in_its_hands_it_may_finish(
    old: Before,
) -> None:
    await old.is_due("p-1")
    held = await old.pull()
    applying = asyncio.create_task(apply(old))

    async def is_free() -> bool:
        return "LANES_pack" in await old.control.holders("lanes.pack.>")

    await eventually(is_free, what="the new stream")
    await old.settle(held)  # it was handled there
    await applying
    assert await old.lanes() == []
    assert await is_gone(old)


async def test_what_it_prolongs_for_ever_is_taken_from_it(old: Before) -> None:
    """As in an outage: the old process would keep it, and it must end some day."""
    await old.is_due("p-1")
    held = await old.pull()

    async def prolong() -> None:
        while True:
            await old.prolong(held)
            await asyncio.sleep(1.5)

    prolonging = asyncio.create_task(prolong())
    await apply(old)
    prolonging.cancel()
    assert [each.subject for each in await old.lanes()] == ["lanes.pack.do.p-1"]
    assert await is_gone(old)


async def test_what_has_no_durable_any_more_goes_over_too(old: Before) -> None:
    await old.is_due("p-1")
    await old.is_due("p-2", handler="gone")
    await old.control.api(f"CONSUMER.DELETE.{LANES}.pack-do")
    await apply(old)
    found = {each.subject for each in await old.lanes()}
    assert found == {"lanes.pack.do.p-1", "lanes.pack.gone.p-2"}
    assert await is_gone(old)


async def test_lanes_of_services_that_are_not_declared_stay(old: Before) -> None:
    await old.is_due("p-1")
    await old.durable("other-do", "lanes.other.do.*")
    put = await old.control.publish("lanes.other.do.x", b"theirs")
    await apply(old)
    info = await old.control.api(f"STREAM.INFO.{LANES}")
    assert info["config"]["subjects"] == ["lanes.other.>"]
    assert (await plan(old.control, old.topology)).changes == ()
    theirs = await old.control.message(LANES, put.sequence)
    assert theirs is not None
    assert theirs.payload == b"theirs"
    assert (await old.control.publish("lanes.other.do.y", b"more")).stream == LANES


@pytest.mark.parametrize("provisions", ["apply", "verify"])
async def test_a_service_does_not_start_before_and_says_what_to_do(
    old: Before, provisions: str
) -> None:
    await old.is_due("p-1")
    loaded = _load([old.service], old.url, {"JETMESH__PROVISION": provisions})
    async with Running(old.service, loaded) as running:

        def told() -> bool:
            reason = running.health.starting
            return "its lanes are in LANES still" in reason and "jetmesh apply" in reason

        await eventually(told, what="one sentence with the way")
        await apply(old)
        await running.started
    assert await is_gone(old)


async def test_up_moves_them_before_anything_starts(old: Before) -> None:
    await old.is_due("p-1")
    await _provision(NatsSettings(url=old.url), old.topology)
    assert [each.subject for each in await old.lanes()] == ["lanes.pack.do.p-1"]
    assert await is_gone(old)


async def test_the_doctor_and_the_plan_say_what_will_move(old: Before) -> None:
    await old.is_due("p-1")
    move, *_ = (await plan(old.control, old.topology)).changes
    first, note = (line.plain.strip() for line in describe(move))
    assert first == "> stream LANES"
    assert note == "what it holds moves to 1 lane stream (1 due), then it is deleted"
    found = findings(await survey(Target(NatsSettings(url=old.url), old.topology)))
    (drift,) = [each for each in found if each.about == LANES]
    assert note in drift.evidence
    assert "jetmesh apply" in drift.remedy


async def test_nobody_else_moves_anything(old: Before) -> None:
    planned = await provision.plan(old.control, old.topology)
    with pytest.raises(DriftError, match=r"its lanes are in LANES still, as before 0\.3"):
        await provision.apply(old.control, planned)
