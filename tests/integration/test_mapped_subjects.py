"""A subject mapping in the server's configuration: a guard that guards nothing acks nothing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Service, event
from jetmesh.declare import derive
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.survey import Target, survey
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.message import guards
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.settings import NatsSettings
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.identities import Configured

SHARDED = 'mappings { "%s.*.*": "%s.{{partition(4,2)}}.{{wildcard(1)}}.{{wildcard(2)}}" }\n'
RENAMED = 'mappings { "%s.accepted.*": "%s.taken.{{wildcard(1)}}" }\n'


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one server nobody is behind."""
    monkeypatch.setattr(guards, "_PATIENCE_SECONDS", 0.3)


class Desk:
    """Orders, each accepted or refused; and bells, which decide nothing."""

    def __init__(self, domain: str) -> None:
        @event(f"{domain}-in.placed", key="order_id")
        class Placed(Struct, frozen=True):
            order_id: str

        @event(f"{domain}.accepted", key="order_id", decision=f"{domain}.*")
        class Accepted(Struct, frozen=True):
            order_id: str

        @event(f"{domain}.refused", key="order_id", decision=f"{domain}.*")
        class Refused(Struct, frozen=True):
            order_id: str

        @event(f"{domain}-in.rung", key="bell")
        class Rung(Struct, frozen=True):
            bell: str

        self.stream = domain.upper()
        self.placed, self.accepted, self.rung = Placed, Accepted, Rung
        self.bells: list[str] = []
        self.service = service = Service(f"{domain}-desk")

        @service.on(Placed)
        def decide(placed: Placed) -> Accepted | Refused:
            return Accepted(placed.order_id)

        @service.on(Rung)
        def hear(rung: Rung) -> None:
            self.bells.append(rung.bell)

    def deciding(self, m: Mesh) -> Consumer:
        return m.running[self.service.name].consumers[0]


def problems(m: Mesh) -> list[str]:
    return [text for each in m.running.values() for text in each.health.problems()]


async def blind(m: Mesh) -> str:
    """What /readyz says, once it does."""
    found: list[str] = await eventually(
        lambda: [text for text in problems(m) if "guards nothing" in text], what="a blind guard"
    )
    return found[0]


async def pending(m: Mesh, consumer: Consumer) -> dict[str, Any]:
    handler = consumer.handler
    return await m.control.api(f"CONSUMER.INFO.{handler.input.stream}.{handler.durable}")


@pytest.mark.parametrize(("mapping", "lies"), [(SHARDED, "accepted.k-1"), (RENAMED, "taken.k-1")])
async def test_what_lies_elsewhere_is_not_acked_and_its_handler_stands_still(
    configured: Configured, unique: str, mapping: str, lies: str
) -> None:
    broker = configured(mapping % (unique, unique))
    desk = Desk(unique)
    async with mesh(desk.service, url=broker.url) as m:
        await m.publish(desk.placed("k-1"))
        said = await blind(m)
        (stored,) = await m.stored(desk.stream)
        assert stored.subject.endswith(lies)
        assert f"{unique}-desk.decide stands still" in said
        assert f"published on {unique}.accepted.k-1 is stored as {desk.stream}:1" in said
        assert f"where {unique}.*.k-1 does not see it" in said
        assert "remove it" in said
        await m.publish(desk.placed("k-2"))
        await m.publish(desk.rung("b-1"))  # another handler goes on
        await eventually(lambda: desk.bells == ["b-1"])
        assert desk.deciding(m).stats.acked == 0
        assert (await pending(m, desk.deciding(m)))["ack_floor"]["stream_seq"] == 0
        assert [each.sequence for each in await m.stored(desk.stream)] == [1]


async def test_once_the_mapping_is_gone_a_new_process_decides_each_key_where_it_belongs(
    configured: Configured, unique: str
) -> None:
    broker = configured(SHARDED % (unique, unique))
    keys = [f"k-{n}" for n in range(20)]
    desk = Desk(unique)
    async with mesh(desk.service, url=broker.url) as m:
        for key in keys:
            await m.publish(desk.placed(key))
        await blind(m)
    assert broker.config is not None
    broker.config.write_text("")
    broker.stop()  # a mapping outside of accounts outlives a reload without it
    broker.start()
    async with mesh(desk.service, url=broker.url) as m:
        await m.settled(within=30)
        outcomes = await m.stored(desk.stream, f"{unique}.*.*")
        assert sorted(each.subject for each in outcomes) == sorted(
            f"{unique}.accepted.{key}" for key in keys
        )
        assert problems(m) == []


async def test_a_mapping_that_a_running_server_reads_is_found(
    configured: Configured, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "AGAIN_SECONDS", 0.0)
    broker, desk = configured(""), Desk(unique)
    async with mesh(desk.service, url=broker.url) as m:
        await m.publish(desk.placed("k-1"))
        await m.settled()
        assert broker.config is not None
        broker.config.write_text(SHARDED % (unique, unique))
        broker.reload()
        await m.publish(desk.placed("k-2"))
        assert "accepted.k-2 is stored as" in await blind(m)


async def test_a_new_connection_is_looked_at_again(broker: Broker, unique: str) -> None:
    desk = Desk(unique)
    async with mesh(desk.service, url=broker.url) as m:
        plane = m.running[desk.service.name]._plane

        async def looks(key: str) -> int:
            before = plane.lookups.asked
            await m.publish(desk.placed(key))
            await m.expect(desk.accepted, key)
            await m.settled()
            return plane.lookups.asked - before

        assert await looks("k-1") >= 1
        assert await looks("k-2") == 0  # the hot path asks nothing
        assert plane._link is not None
        plane._link.abort("the test")
        await eventually(lambda: plane.reconnects == 1 and not plane.problem)
        assert await looks("k-3") >= 1
        assert await looks("k-4") == 0
        assert problems(m) == []


async def test_the_doctor_names_the_mapping_before_anything_is_published_and_stores_nothing(
    configured: Configured, unique: str
) -> None:
    broker, desk = configured(RENAMED % (unique, unique)), Desk(unique)
    async with mesh(desk.service, url=broker.url) as m:
        facts = await survey(Target(NatsSettings(url=broker.url), derive([desk.service])))
        (found,) = [each for each in findings(facts) if each.code == "mapped"]
        assert (found.severity, found.about) == ("problem", f"{unique}.accepted.*")
        assert f"into {unique}.taken.*" in found.sentence
        assert await m.stored(desk.stream) == []


async def test_the_doctor_finds_no_mapping_where_there_is_none(broker: Broker, unique: str) -> None:
    desk = Desk(unique)
    async with mesh(desk.service, url=broker.url) as m:
        facts = await survey(Target(NatsSettings(url=broker.url), derive([desk.service])))
        assert facts.now.mapped == {}
        assert await m.stored(desk.stream) == []
