"""A service of the mesh turns hostile: what it may not touch, the broker keeps from it.

It is `notifications`, with its own secret. On one stream for the lanes of all it could make the
gateway be asked for 9,999 EUR: the target of a schedule may be any subject of its stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from jetmesh.declare import Topology, permissions_of
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.deadlines import Deadline, alarm, cancelled_subject, cancelling
from jetmesh.protocol.lanes import Origin, schedule
from jetmesh.protocol.times import nanoseconds_of
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage
from tests.attacks.attacker import Attacker, attacking
from tests.attacks.conftest import password_of

ME, VICTIM = "notifications", "payments"
LANE = f"lanes.{VICTIM}.charge.p-1"
FORGED = b'{"purchase_id":"p-1","total":"9999.00","currency":"EUR","payment_token":"tok_ok"}'
ORIGIN = Origin("orders.validated.p-1", "ORDERS", "1", 1_700_000_000_000_000_000)
DURABLE = f"LANES_{VICTIM}.{VICTIM}-charge"


@dataclass
class Scene:
    """A lane on which something waits, and somebody who wants it."""

    operator: ControlPlane
    attacker: Attacker
    before: list[StoredMessage]

    async def stored(self) -> list[StoredMessage]:
        """Everything that the mesh itself keeps, of everybody."""
        found: list[StoredMessage] = []
        for subject in ("lanes.>", "deadletters.>", "refusals.>"):
            for stream in await self.operator.holders(subject):
                found += [each async for each in self.operator.history(stream, [subject])]
        return found

    async def unharmed(self) -> None:
        """Nothing was stored or removed, and the victim still gets what is its own."""
        assert await self.stored() == self.before
        info = await self.operator.api(f"CONSUMER.INFO.{DURABLE}")
        assert (info["num_pending"], info["num_ack_pending"]) == (1, 0)


@pytest_asyncio.fixture
async def scene(guarded: Broker, operator: ControlPlane) -> AsyncIterator[Scene]:
    """Payments has a retry that is due, one that waits, a letter and a refusal."""
    later = datetime.now(UTC) + timedelta(hours=1)
    waits = f"lanes.{VICTIM}.charge.ORDERS.{ORIGIN.token}.later"
    await operator.publish(LANE, b"{}", ORIGIN.headers())
    await operator.publish(waits, b"{}", {**ORIGIN.headers(), **schedule(LANE, later)})
    await operator.publish(f"deadletters.{VICTIM}.charge.p-1", b"{}", ORIGIN.headers())
    await operator.publish(f"refusals.{VICTIM}.charge.p-1", b"{}")
    async with attacking(guarded.url, ME, password_of(ME)) as attacker:
        made = Scene(operator, attacker, [])
        made.before = await made.stored()
        assert len(made.before) == 4
        yield made


async def test_it_cannot_schedule_a_forged_order_onto_the_lane_of_another(scene: Scene) -> None:
    headers = {**ORIGIN.headers(), **schedule(LANE, datetime.now(UTC))}
    own = f"lanes.{ME}.tell_rejected.ORDERS.{ORIGIN.token}.later"
    why = await scene.attacker.refused(own, FORGED, headers)
    assert "schedule" in why
    for shared in (f"deadletters.{ME}.tell_rejected.p-1", f"refusals.{ME}.tell_rejected.p-1"):
        assert "schedule" in await scene.attacker.refused(shared, FORGED, headers)
    await scene.unharmed()


async def test_it_cannot_publish_on_the_lane_of_another(scene: Scene) -> None:
    waits = f"lanes.{VICTIM}.charge.ORDERS.{ORIGIN.token}.later"
    for subject in (LANE, waits, f"deadletters.{VICTIM}.charge.p-2", f"refusals.{VICTIM}.x.p-2"):
        await scene.attacker.denied(subject, FORGED, ORIGIN.headers())
    await scene.unharmed()


async def test_it_cannot_read_what_others_have_on_lanes_in_letters_and_refusals(
    scene: Scene,
) -> None:
    for stream in (f"LANES_{VICTIM}", "DEADLETTERS", "REFUSALS"):
        for asked in (
            f"$JS.API.STREAM.MSG.GET.{stream}",
            f"$JS.API.DIRECT.GET.{stream}",
            f"$JS.API.CONSUMER.CREATE.{stream}",
            f"$JS.API.CONSUMER.CREATE.{stream}.mine",
        ):
            await scene.attacker.denied(asked, b'{"seq":1}')
    await scene.attacker.denied(f"$JS.API.DIRECT.GET.LANES_{VICTIM}.{LANE}")
    await scene.attacker.denied(f"$JS.API.CONSUMER.MSG.NEXT.{DURABLE}", b'{"batch":1}')
    await scene.unharmed()


async def test_it_cannot_settle_what_others_have_in_flight(scene: Scene) -> None:
    await scene.attacker.denied(f"$JS.ACK.{DURABLE}.1.1.1.1700000000000000000.0", b"+ACK")
    await scene.unharmed()


@pytest.mark.parametrize("how", ["all", "sub"])
async def test_it_cannot_roll_up_what_others_have(scene: Scene, how: str) -> None:
    roll = {"Nats-Rollup": how}
    for shared in (f"deadletters.{ME}.tell_rejected.p-1", f"refusals.{ME}.tell_rejected.p-1"):
        assert "rollup not permitted" in await scene.attacker.refused(shared, b"", roll)
    await scene.attacker.denied(LANE, b"", roll)
    # its own lane is its own: nobody else's goes with it
    put = await scene.attacker.tries(f"lanes.{ME}.tell_rejected.p-1", b"", roll)
    assert put is not None
    assert put["stream"] == f"LANES_{ME}"
    await scene.operator.forget(f"LANES_{ME}", f"lanes.{ME}.>")
    await scene.unharmed()


async def test_it_cannot_purge_or_delete_what_others_have(scene: Scene) -> None:
    for stream in (f"LANES_{VICTIM}", "DEADLETTERS", "REFUSALS"):
        for verb in ("PURGE", "DELETE", "UPDATE", "MSG.DELETE"):
            await scene.attacker.denied(f"$JS.API.STREAM.{verb}.{stream}", b"{}")
    for wanted in ("lanes.>", f"lanes.{VICTIM}.>"):
        body = b'{"filter":"%b"}' % wanted.encode()
        purged = await scene.attacker.tries(f"$JS.API.STREAM.PURGE.LANES_{ME}", body)
        assert purged is not None
        assert not purged.get("purged")
    await scene.unharmed()


async def test_a_schedule_of_its_own_purges_nothing_of_others(scene: Scene) -> None:
    """Headers of a message that the server fired, written by hand: they name what to remove."""
    waits = f"lanes.{VICTIM}.charge.ORDERS.{ORIGIN.token}.later"
    fired = {"Nats-Scheduler": waits, "Nats-Schedule-Next": "purge"}
    await scene.attacker.tries(f"lanes.{ME}.tell_rejected.p-1", b"", fired)
    await scene.attacker.tries(f"deadletters.{ME}.tell_rejected.p-1", b"", fired)
    kept = [each for each in await scene.stored() if f".{ME}." not in each.subject]
    assert kept == scene.before


async def test_it_cannot_set_or_cancel_a_deadline_of_another(scene: Scene) -> None:
    deadline = Deadline("payments.captured", "p-1")
    theirs, mine = deadline.alarm(VICTIM), deadline.alarm(ME)
    at = nanoseconds_of("2100-01-01T00:00:00Z")
    await scene.operator.publish(theirs, b"{}", alarm(deadline, LANE, ORIGIN, at))
    scene.before = await scene.stored()

    rings = alarm(deadline, LANE, ORIGIN, at)
    await scene.attacker.denied(theirs, FORGED, rings)
    assert "schedule" in await scene.attacker.refused(mine, FORGED, rings)
    await scene.attacker.denied(cancelled_subject(VICTIM), b"", cancelling(theirs))
    await scene.attacker.tries(cancelled_subject(ME), b"", cancelling(theirs))
    await scene.operator.forget(f"LANES_{ME}", f"lanes.{ME}.>")
    await scene.unharmed()


def test_of_letters_and_refusals_a_service_may_only_add_its_own(topology: Topology) -> None:
    for service in topology.services:
        granted = permissions_of(service, inbox_prefix="_INBOX_x").publish
        about = [each for each in granted if "DEADLETTERS" in each or "REFUSALS" in each]
        about = [each for each in about if not each.endswith(f".{service.name}.*.*")]  # its own
        assert set(about) == {"$JS.API.STREAM.INFO.DEADLETTERS", "$JS.API.STREAM.INFO.REFUSALS"}
        own = [each for each in granted if each.startswith(("deadletters.", "refusals.", "lanes."))]
        prefixes = ("lanes", "deadletters", "refusals")
        wanted = {f"{each}.{service.name}.>" for each in prefixes} if service.handlers else set()
        assert set(own) == wanted


def test_no_service_is_granted_anything_on_the_lanes_of_another(topology: Topology) -> None:
    for service in topology.services:
        granted = permissions_of(service, inbox_prefix="_INBOX_x").publish
        others = [each.name for each in topology.services if each.name != service.name]
        assert not [
            line
            for line in granted
            for name in others
            if f"LANES_{name}" in line.split(".") or f"lanes.{name}." in line
        ]
