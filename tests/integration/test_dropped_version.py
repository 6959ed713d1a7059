"""A released version is forgotten only when nobody can meet it any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jetmesh import derive
from jetmesh.declare import EventSpec, Topology, declared_spec
from jetmesh.errors import UsageError
from jetmesh.operate.evolution.describe import contract_of
from jetmesh.operate.evolution.dropping import drop, droppable, held
from jetmesh.operate.evolution.generate import samples
from jetmesh.operate.evolution.released import Name, Release, Released
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.streams import lane_stream
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually, mesh
from jetmesh.transport.control import ControlPlane
from tests.integration.renamed import Shop, stored, upcast


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """One for each test: the mesh's own streams are everyone's."""
    with Broker(tmp_path / "nats") as started:
        yield started


def release(shop: Shop, version: int) -> Release:
    contract = contract_of(declared_spec(shop.validated))
    return Release(Name(version), contract, samples(contract), {})


def second(unique: str) -> tuple[Topology, EventSpec]:
    """The code of the second version, which reads the first no more."""
    shop = Shop(unique, "checked_at", version=2, oldest=2)
    return derive(shop.services), declared_spec(shop.validated)


async def holders(broker: Broker, unique: str) -> list[str]:
    nats = NatsSettings(url=broker.url)
    topology, spec = second(unique)
    async with await ControlPlane.connect(nats, name="test") as control:
        return await held(nats, control, topology, spec, 1)


async def test_what_streams_lanes_and_letters_hold_is_counted(broker: Broker, unique: str) -> None:
    shop = Shop(unique, fails={"p-0": "reject", "p-1": "retry"})
    await stored(broker, shop, 5)
    async with mesh(shop.payments, url=broker.url) as m:
        await eventually(lambda: len(shop.paid) == 3, what="the others to be paid")
        lane = lane_stream(f"{unique}-payments")
        await eventually(lambda: m.stored("DEADLETTERS"), what="a letter")
        await eventually(lambda: m.stored(lane), what="a retry on the lane")
    found = await holders(broker, unique)
    assert f"{shop.stream} holds 5 messages of it" in found
    assert "DEADLETTERS holds 1 message of it" in found
    assert f"LANES_{unique}-payments holds 1 message of it" in found


async def test_a_version_that_nobody_holds_is_dropped(
    broker: Broker, unique: str, tmp_path: Path
) -> None:
    new = upcast(unique)
    async with mesh(*new.services, url=broker.url) as m:
        await m.publish(new.placed("o-1"))
        await m.expect(new.validated, "o-1")
    assert await holders(broker, unique) == []
    directory = tmp_path / "released"
    for each in (release(Shop(unique), 1), release(new, 2)):
        for file, text in each.files(directory).items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    drop(directory, f"{unique}.validated", 1)
    assert [*Released.below(directory)] == [(f"{unique}.validated", 2)]


async def test_a_process_of_other_code_may_still_write_it(broker: Broker, unique: str) -> None:
    old = Shop(unique)
    old.validation.version = "0.9.0"
    async with mesh(old.validation, url=broker.url):
        assert await holders(broker, unique) == [
            f"{unique}-validation 0.9.0 runs, and this is 1.0.0"
        ]


def test_a_version_that_is_read_or_was_never_released_is_refused(unique: str) -> None:
    shop = upcast(unique)
    topology, released = derive(shop.services), Released([release(Shop(unique), 1)])
    with pytest.raises(UsageError, match="The code still reads version 1") as told:
        droppable(topology, released, f"{unique}.validated", 1)
    assert "oldest=2" in told.value.remedy
    with pytest.raises(UsageError, match="7 was never released"):
        droppable(topology, released, f"{unique}.validated", 7)
    dropped, spec = second(unique)
    assert droppable(dropped, released, f"{unique}.validated", 1) is spec
