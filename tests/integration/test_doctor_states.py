"""What `jetmesh doctor` says of states on a real broker, and what `heal` removes of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jetmesh.declare import derive
from jetmesh.operate.heal import remove, suspect
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.headers import APPLIED
from jetmesh.protocol.steps import Applied, applied_text
from jetmesh.settings import NatsSettings
from jetmesh.testing import mesh
from jetmesh.transport.control import ControlPlane
from tests.integration.test_doctor import applied, found, patient_of, twice
from tests.integration.test_states import Shop


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """One for each test, as in `test_doctor`."""
    with Broker(tmp_path / "nats") as started:
        yield started


async def test_a_state_s_message_that_no_step_wrote_is_found_and_heal_removes_it(
    broker: Broker, unique: str
) -> None:
    shop = Shop(unique)
    shop.award()
    subject = f"states.{unique}.accounts.c-1"
    topology = derive([shop.service])
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(shop.captured("p-1", "c-1"))
        await shop.knows(m, "c-1", 1)
        await m.settled()
        assert "state-forged" not in found(await twice(patient_of(broker, shop.service)))
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        stored = await control.publish(subject, b"{}", headers={"Jetmesh-Applied": "[not json"})
        told = found(await twice(patient_of(broker, shop.service)))["state-forged"]
        place = f"{shop.stream}:{stored.sequence}"
        assert (told.about, told.severity) == (f"{unique}.accounts", "problem")
        assert place in told.remedy
        await remove(control, await suspect(control, topology, place))
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(shop.captured("p-2", "c-1"))
        await shop.knows(m, "c-1", 2)


async def test_a_key_that_can_remember_few_more_inputs_is_told(broker: Broker, unique: str) -> None:
    shop = Shop(unique)
    shop.award()
    inputs = tuple(f"{number}-{number}" for number in range(200))
    text = applied_text(Applied(inputs={f"{unique}-in.captured": inputs}))
    async with applied(broker, shop.service) as control:
        subject = f"states.{unique}.accounts.c-1"
        await control.publish(subject, b'{"customer_id":"c-1"}', headers={APPLIED: text})
        told = found(await twice(patient_of(broker, shop.service)))["state-waits"]
    assert told.evidence == ("c-1 has 200 above the floor, 0 on lanes or in letters",)
