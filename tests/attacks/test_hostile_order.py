"""Whoever could write a cursor could have a key skipped or stopped: only its own service can."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import Struct

from jetmesh import Policy, Reject, Service, derive, event
from jetmesh.declare import Duration
from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.identities import CLIENT, Isolation
from jetmesh.runtime.running import Running
from jetmesh.testing import _load, eventually
from jetmesh.transport.provision import apply, plan
from tests.attacks.intruder import intruding, says
from tests.isolated import isolated

pytestmark = pytest.mark.timeout(120)


@event("hostile-in.placed", key="id")
class Placed(Struct, frozen=True):
    id: str
    number: int


@event("hostile-parcels.moved", key="id")
class Moved(Struct, frozen=True):
    id: str
    number: int


shipping, tracking = Service("shipping"), Service("tracking")
SHORT = Policy(attempts=2, backoff=Duration(0.05), timeout=Duration(1), ack_wait=Duration(1))


class Seen:
    fails = True
    numbers: list[int] = []  # noqa: RUF012 - one for the process


@shipping.on(Placed, policy=SHORT)
def ship(placed: Placed) -> Moved:
    return Moved(placed.id, placed.number)


@tracking.on(Moved, policy=SHORT, ordered=True)
async def follow(moved: Moved) -> None:
    if Seen.fails and moved.number == 1:
        raise Reject("not today")
    Seen.numbers.append(moved.number)


CURSOR = "cursors.tracking.follow.p-1"
STREAM = "CURSORS_tracking"
FORBIDDEN = (
    CURSOR,
    f"$JS.API.STREAM.MSG.GET.{STREAM}",
    f"$JS.API.DIRECT.GET.{STREAM}.{CURSOR}",
    f"$JS.API.STREAM.PURGE.{STREAM}",
    f"$JS.API.STREAM.DELETE.{STREAM}",
    "lanes.tracking.follow.p-1._.waits",
)


@pytest.mark.parametrize("isolation", ["users", "all"])
async def test_order_is_kept_with_what_is_derived_and_no_neighbour_writes_a_cursor(
    tmp_path: Path, isolation: Isolation
) -> None:
    Seen.fails = True
    Seen.numbers.clear()
    topology = derive([shipping, tracking])
    with isolated(topology, isolation, tmp_path) as guarded:
        async with await guarded.control() as operator, await guarded.control(CLIENT) as client:
            await apply(operator, await plan(operator, topology))

            def running(service: Service) -> Running:
                variables = guarded.variables(service.name)
                return Running(service, _load([service], guarded.broker.url, variables))

            async with running(shipping) as one, running(tracking) as other:
                await one.started
                await other.started
                for number in range(1, 5):
                    body = b'{"id":"p-1","number":%d}' % number
                    await client.publish("hostile-in.placed.p-1", body)
                letters = "deadletters.tracking.follow.p-1"
                letter = await eventually(
                    lambda: operator.last("DEADLETTERS", letters), what="a letter", within=20
                )
                await eventually(other.health.notes, what="what waits", within=20)
                async with intruding(guarded.settings("shipping")) as intruder:
                    for subject in FORBIDDEN:
                        await intruder.publishes(subject, b"{}")
                        await says(intruder, f'"{subject}"'.lower())
                Seen.fails = False
                desk = Desk(operator, by="test")
                await desk.send(await desk.prepare(await desk.open(letter.sequence)))
                await eventually(lambda: Seen.numbers == [1, 2, 3, 4], what="order", within=20)
                await eventually(lambda: not other.health.problems(), what="ready", within=20)
