"""A decision with a token of its own works where a short one does, and leaves its domain open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from jetmesh import AlreadyDecided, Publisher, Reject, Service, System, derive, event
from jetmesh.operate import asyncapi
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.survey import Target, survey
from jetmesh.operate.publish import check, spec_for
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.running import Running
from jetmesh.settings import NatsSettings
from jetmesh.testing import Mesh, _load, eventually, mesh
from jetmesh.transport.provision import apply, plan
from tests.isolated import isolated


class Desk:
    """Orders get one verdict each; that an order expired is no verdict, and in the same stream."""

    def __init__(self, domain: str) -> None:
        @event(f"{domain}-in.placed", key="id")
        class Placed(Struct, frozen=True):
            id: str

        @event(f"{domain}.verdict.sound", key="id", decision=f"{domain}.verdict.*")
        class Sound(Struct, frozen=True):
            id: str

        @event(f"{domain}.verdict.unsound", key="id", decision=f"{domain}.verdict.*")
        class Unsound(Struct, frozen=True):
            id: str

        @event(f"{domain}.expired", key="id")
        class Expired(Struct, frozen=True):
            id: str

        self.runs: list[str] = []
        self.domain, self.name, self.key = domain, f"{domain}-desk", f"{domain}-p"
        self.placed, self.sound, self.unsound, self.expired = Placed, Sound, Unsound, Expired
        self.service = service = Service(self.name)

        @service.on(Placed)
        async def judge(placed: Placed) -> list[Sound | Unsound | Expired]:
            self.runs.append(placed.id)
            if placed.id == "bad":
                raise Reject("it is bad")
            return [Expired(placed.id), Sound(placed.id)]

        @service.on(Sound)
        def echo(sound: Sound) -> None: ...

    def subjects(self, found: list[Any]) -> list[str]:
        return [each.subject.removeprefix(f"{self.domain}.") for each in found]


@pytest.fixture
def desk(unique: str) -> Desk:
    return Desk(unique)


async def twice(m: Mesh, desk: Desk) -> None:
    """The same order two times: the second one is refused."""
    await m.publish(desk.placed(desk.key))
    await m.expect(desk.expired, desk.key)
    await m.publish(desk.placed(desk.key))
    await m.settled()


async def test_a_key_has_one_verdict_and_other_events_of_its_domain_beside_it(
    broker: Broker, desk: Desk
) -> None:
    async with mesh(desk.service, url=broker.url) as m:
        await twice(m, desk)
        stored = await m.stored(desk.domain.upper())
        marks = await m.stored("REFUSALS", f"refusals.{desk.name}.judge.{desk.key}")
    assert desk.subjects(stored) == [f"verdict.sound.{desk.key}", f"expired.{desk.key}"]
    assert desk.runs == [desk.key], "the look before an effect"
    assert json.loads(marks[0].payload)["refused"] == f"{desk.domain}.verdict.*.{desk.key}"


async def test_a_publisher_outside_is_guarded_by_it(broker: Broker, desk: Desk) -> None:
    async with mesh(desk.service, url=broker.url) as m:
        await twice(m, desk)
        nats = NatsSettings(url=broker.url)
        async with Publisher(desk.unsound, desk.expired, nats=nats) as publisher:
            with pytest.raises(AlreadyDecided, match=f"{desk.domain}.verdict.sound"):
                await publisher.publish(desk.unsound(desk.key))
            assert not (await publisher.publish(desk.expired(desk.key))).duplicate


async def test_trace_and_doctor_know_it(broker: Broker, desk: Desk) -> None:
    topology = derive([desk.service])
    async with mesh(desk.service, url=broker.url) as m:
        await twice(m, desk)
        steps = await trace(m.control, topology, desk.key)
        assert [step.kind for step in steps] == ["event", "event", "event", "event", "refusal"]
        assert [step.subject for step in steps[1:3]] == [
            f"{desk.domain}.verdict.sound",
            f"{desk.domain}.expired",
        ]
        assert {step.cause for step in steps[1:3]} == {steps[0].id}
        target = Target(NatsSettings(url=broker.url), topology)
        first = await survey(target)
        told = [f for f in findings(await survey(target, first.now)) if desk.domain in f.about]
    assert {finding.code for finding in told if finding.severity != "note"} <= {"refusals"}


def test_contracts_and_the_command_line_know_it(desk: Desk) -> None:
    topology = derive([desk.service])
    described = asyncapi.index(System("desk", services=()), topology)
    channel = described["channels"][f"{desk.domain}.verdict.sound"]
    assert f"{desk.domain}.verdict.*" in json.dumps(channel)
    for subject in (f"{desk.domain}.verdict.sound", f"{desk.domain}.verdict.sound.p-1"):
        spec = spec_for(topology, subject.removesuffix(".p-1"))
        assert topology.event(subject) is spec
        (checked,) = check(spec, [b'{"id": "p-1"}'])
        assert checked.subject == f"{desk.domain}.verdict.sound.p-1"


async def test_a_service_decides_with_no_more_permissions_than_are_derived(
    desk: Desk, tmp_path: Path
) -> None:
    topology = derive([desk.service])
    with isolated(topology, "users", tmp_path) as guarded:
        loaded = _load([desk.service], guarded.broker.url, guarded.variables(desk.name))
        async with await guarded.control() as control, Running(desk.service, loaded) as worker:
            await apply(control, await plan(control, topology))
            await worker.started
            for _ in range(2):
                event = desk.placed(desk.key)
                await control.publish(
                    f"{desk.domain}-in.placed.{desk.key}", msgspec.json.encode(event)
                )
            mark = f"refusals.{desk.name}.judge.{desk.key}"
            await eventually(lambda: control.last("REFUSALS", mark), what="the refusal")
            verdict = f"{desk.domain}.verdict.*.{desk.key}"
            assert await control.last(desk.domain.upper(), verdict)
            await eventually(lambda: not worker.health.problems(), what="ready")
