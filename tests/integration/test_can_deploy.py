"""`jetmesh can-deploy`: the new code decodes what is stored, and nothing is changed by it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jetmesh import Service, derive
from jetmesh.declare.event import declared_spec
from jetmesh.errors import BrokerError
from jetmesh.operate.candeploy.proof import prove
from jetmesh.operate.candeploy.report import Report, sentences
from jetmesh.operate.evolution.describe import contract_of
from jetmesh.operate.evolution.generate import samples
from jetmesh.operate.evolution.released import Name, Release, Released
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.headers import MESSAGE_ID
from jetmesh.protocol.streams import lane_stream
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually, mesh
from jetmesh.transport.control import ControlPlane
from tests.integration.renamed import Shop, renamed, stored, upcast

ORDERS = 12


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """One for each test: the mesh's own streams are everyone's."""
    with Broker(tmp_path / "nats") as started:
        yield started


@dataclass
class Told:
    """What a look said, and how far it told that it came."""

    report: Report
    total: int
    read: list[int] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(text for _, text in sentences(self.report))


async def told(
    broker: Broker, services: tuple[Service, ...], *released: Release, accepted: int = 0
) -> Told:
    nats = NatsSettings(url=broker.url)
    totals: list[int] = []
    read: list[int] = []
    async with await ControlPlane.connect(nats, name="test") as control:
        before = await everything(control)
        report = await prove(
            nats,
            control,
            derive(services),
            Released([*released]),
            accepted=accepted,
            on_begin=totals.append,
            on_read=read.append,
        )
        assert await everything(control) == before, "it may change nothing"
    return Told(report, totals[0], read)


async def everything(control: ControlPlane) -> dict[str, Any]:
    """The state of every stream and consumer, without the times of the answers."""
    found: dict[str, Any] = {}
    streams = (await control.api("STREAM.LIST"))["streams"]
    for stream in streams:
        name = stream["config"]["name"]
        found[name] = stream["config"], stream["state"]
        for consumer in await control.consumers(name):
            kept = {key: value for key, value in consumer.items() if key not in ("ts", "cluster")}
            found[f"{name}/{consumer['name']}"] = kept
    return found


def released(shop: Shop) -> Release:
    """Its order, as `jetmesh contracts release` would keep it."""
    contract = contract_of(declared_spec(shop.validated))
    return Release(Name(1), contract, samples(contract), {})


async def test_a_rename_would_kill_every_stored_order_and_the_answer_says_whose(
    broker: Broker, unique: str
) -> None:
    shop = Shop(unique)
    await stored(broker, shop, ORDERS, "ada@example.org")
    found = await told(broker, renamed(unique).services)
    assert not found.report.deployable
    assert found.text == (
        f"0 of {ORDERS} stored {unique}.validated decode\n"
        f"    {ORDERS}: Object missing required field `checked_at`, the first is {shop.stream}:1\n"
        f"    {unique}-payments.charge would dead-letter {ORDERS}\n"
        f"    {unique}-shown would skip {ORDERS}\n"
        f"It cannot be deployed: {ORDERS} messages would be dead-lettered and {ORDERS} events "
        "skipped by read models. Keep the old field, or declare a version and what makes it of "
        "the old one (@event(…, version=…), @upcasts); `jetmesh contracts check` says what else "
        "changed."
    )
    assert "example.org" not in found.text
    assert sum(found.read) == found.total == ORDERS


async def test_the_code_that_wrote_it_can_be_deployed(broker: Broker, unique: str) -> None:
    await stored(broker, Shop(unique), ORDERS)
    found = await told(broker, Shop(unique).services)
    assert found.report.deployable
    assert f"{ORDERS} of {ORDERS} stored {unique}.validated decode" in found.text
    assert found.text.endswith("It can be deployed.")


async def test_durables_meet_what_is_behind_their_ack_floor_and_read_models_everything(
    broker: Broker, unique: str
) -> None:
    shop = Shop(unique)
    async with mesh(*shop.services, url=broker.url) as m:
        for number in range(5):
            await m.publish(shop.placed(f"p-{number}"))
        await m.settled()
    await stored(broker, shop, 7)  # of these five keys are decided, two are new
    (found,) = (await told(broker, renamed(unique).services)).report.events
    assert (found.stored, found.unreadable) == (7, 7)
    assert {each.reader: each.unreadable for each in found.readers} == {
        f"{unique}-payments.charge": 2,
        f"{unique}-shown": 7,
    }


async def test_what_nobody_will_meet_keeps_nothing_from_being_deployed(
    broker: Broker, unique: str
) -> None:
    """Its handler has settled all of it, and no read model folds it."""
    shop = Shop(unique)
    async with mesh(shop.validation, shop.payments, url=broker.url) as m:
        for number in range(5):
            await m.publish(shop.placed(f"p-{number}"))
        await m.settled()
    after = renamed(unique)
    found = await told(broker, (after.validation, after.payments))
    assert found.report.deployable
    assert found.report.events == []


async def test_lanes_and_letters_fall_under_it_as_events_do(broker: Broker, unique: str) -> None:
    shop = Shop(unique, fails={"p-lane": "retry", "p-letter": "reject"})
    async with mesh(*shop.services, url=broker.url) as m:
        for key in ("p-good", "p-lane", "p-letter"):
            await m.publish(shop.placed(key))
        lane = lane_stream(shop.payments.name)
        await eventually(lambda: m.stored(lane), what="a retry that waits for its time")
        await eventually(lambda: m.stored("DEADLETTERS"), what="a letter")
        await m.publish(shop.subject, b'{"order_id": "p-broken"}')

        async def both() -> bool:
            return len(await m.stored("DEADLETTERS")) == 2

        await eventually(both, what="a letter of a broken contract")
    after = renamed(unique)
    found = await told(broker, (after.validation, after.payments))
    (lanes,) = found.report.lanes
    (letters,) = found.report.letters
    assert (lanes.stored, lanes.unreadable) == (1, 1)
    assert (letters.open, letters.fail, letters.lost) == (2, 2, 1)
    assert f"0 of 1 {shop.subject} on the lane of {unique}-payments.charge decode" in found.text
    assert f"2 dead letters of {unique}-payments.charge: 2 would still fail" in found.text
    assert "1 dead letter could be replayed no more" in found.text
    still = await told(broker, (shop.validation, shop.payments))
    assert still.report.deployable, "what was broken before keeps nothing from being deployed"
    assert f"2 dead letters of {unique}-payments.charge: 1 would still fail" in still.text


async def test_what_was_never_an_event_is_told_and_refuses_nothing(
    broker: Broker, unique: str
) -> None:
    shop = Shop(unique)
    async with mesh(shop.validation, url=broker.url) as m:
        await m.publish(shop.placed("p-1"))
        for payload in (b"no json", b"", b"[1]"):
            await m.publish(shop.subject, payload)
        await m.settled()
    found = await told(broker, shop.services)
    assert found.report.deployable
    assert f"1 of 4 stored {shop.subject} decode\n    3 are no JSON objects" in found.text


async def test_what_no_released_version_could_read_is_no_reason_to_refuse(
    broker: Broker, unique: str
) -> None:
    shop = Shop(unique)
    async with mesh(shop.validation, url=broker.url) as m:
        await m.publish(shop.subject, b'{"nothing": "like it"}')
        await m.settled()
    assert not (await told(broker, shop.services)).report.deployable, "nothing was released"
    found = await told(broker, shop.services, released(shop))
    assert found.report.deployable
    assert "1 fit no released version, either" in found.text


async def test_what_a_handler_wrote_was_an_event_whatever_was_released(
    broker: Broker, unique: str
) -> None:
    await stored(broker, renamed(unique), 3)
    after = Shop(unique)
    found = await told(broker, (after.validation, after.shown), released(after))
    assert not found.report.deployable
    assert "3: Object missing required field `validated_at`" in found.text


async def test_it_is_told_which_release_could_read_it(broker: Broker, unique: str) -> None:
    shop = Shop(unique)
    await stored(broker, shop, 3)
    after = renamed(unique)
    found = await told(broker, (after.validation, after.shown), released(shop))
    assert not found.report.deployable
    assert f"the first is {shop.stream}:1; version 1 could be read" in found.text


async def test_while_both_run_old_processes_must_read_what_new_ones_write(
    broker: Broker, unique: str
) -> None:
    """Nothing is stored yet, and still the old ones would give up what comes."""
    after = renamed(unique)
    found = await told(broker, after.services, released(Shop(unique)))
    assert not found.report.deployable
    (mixed,) = found.report.rollout
    assert (mixed.subject, mixed.release, mixed.failed) == (after.subject, "1", mixed.samples)
    assert mixed.samples > 0
    assert "missing required field `validated_at`" in mixed.why
    assert f"until they are replaced: {unique}-payments.charge and {unique}-shown" in found.text
    assert f"old processes could not read new {after.subject}" in found.text
    same = await told(broker, Shop(unique).services, released(Shop(unique)))
    assert same.report.deployable
    newer = await told(broker, upcast(unique).services, released(Shop(unique)))
    assert newer.report.deployable, "old processes give a newer version back"


async def test_so_many_may_be_accepted(broker: Broker, unique: str) -> None:
    await stored(broker, Shop(unique), 3)
    after = renamed(unique)
    services = (after.validation, after.shown)
    assert not (await told(broker, services, accepted=2)).report.deployable
    found = await told(broker, services, accepted=3)
    assert found.report.deployable
    assert found.text.endswith("It can be deployed. 3 unreadable messages, as accepted.")


async def test_an_envelope_and_a_removed_key_are_read_as_services_read_them(
    broker: Broker, unique: str
) -> None:
    shop = Shop(unique)
    async with mesh(shop.validation, url=broker.url) as m:
        body = b'{"specversion":"1.0","data":{"order_id":"p-1","validated_at":"noon"}}'
        headers = {"Content-Type": "application/cloudevents+json", MESSAGE_ID: "x-1"}
        await m.publish(shop.subject, body, headers)
        await m.publish(f"{shop.subject}.p-2", b"", {"Nats-Marker-Reason": "MaxAge"})
        await m.settled()
    found = await told(broker, shop.services)
    assert f"1 of 1 stored {shop.subject} decode" in found.text


async def test_with_an_upcaster_every_stored_order_is_read_and_the_mesh_runs_over_it(
    broker: Broker, unique: str
) -> None:
    await stored(broker, Shop(unique), ORDERS)
    after = upcast(unique)
    found = await told(broker, after.services)
    assert found.report.deployable
    (events,) = found.report.events
    assert (events.version, events.versions) == (2, {"1": ORDERS})
    async with mesh(*after.services, url=broker.url) as m:
        await m.publish(after.placed("p-new"))
        await m.settled()
        assert len(after.paid) == ORDERS + 1
        assert await m.stored("DEADLETTERS") == []
    (events,) = (await told(broker, after.services)).report.events
    assert events.versions == {"1": ORDERS, "2": 1}


async def test_what_only_newer_code_reads_keeps_older_code_from_being_deployed(
    broker: Broker, unique: str
) -> None:
    """As when somebody rolls back."""
    await stored(broker, upcast(unique), 3)
    found = await told(broker, Shop(unique).services)
    assert not found.report.deployable
    assert f"version 2 of {unique}.validated is stored, and this code knows 1" in found.text
    assert f"{unique}-payments.charge would wait with 3 for newer code" in found.text
    assert found.text.endswith("6 messages would wait for newer code. Deploy what knows it.")


async def test_an_upcaster_that_raises_is_named(broker: Broker, unique: str) -> None:
    shop = Shop(unique)
    async with mesh(shop.validation, url=broker.url) as m:
        body = b'{"order_id": "p-1", "email": "ada@example.org"}'
        await m.publish(f"{shop.subject}.p-1", body)
        await m.settled()
    found = await told(broker, upcast(unique).services)
    assert not found.report.deployable
    assert "its upcaster" in found.text
    assert "with_new_name raised KeyError" in found.text
    assert "example.org" not in found.text


@pytest.mark.parametrize("when", ["before it is read", "in the middle"])
async def test_a_broker_that_goes_away_leaves_it_unknown(
    broker: Broker, unique: str, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr("jetmesh.operate.candeploy.proof._TELL_EVERY", 1)
    shop = Shop(unique)
    async with mesh(shop.validation, url=broker.url) as m:
        for _ in range(40):
            await m.publish(shop.subject, json.dumps({"order_id": "x" * 500_000}))

    def end(_: int) -> None:
        broker.kill()

    def go_on(_: int) -> None: ...

    calls = (end, go_on) if when == "before it is read" else (go_on, end)
    nats = NatsSettings(url=broker.url)
    async with await ControlPlane.connect(nats, name="test") as control:
        with pytest.raises(BrokerError, match="Whether it can be deployed is not known: ") as told:
            async with asyncio.timeout(60):
                await prove(
                    nats,
                    control,
                    derive(shop.services),
                    Released([]),
                    on_begin=calls[0],
                    on_read=calls[1],
                )
    assert "Run it again." in str(told.value)
