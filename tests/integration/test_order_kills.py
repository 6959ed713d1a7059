"""The order of a key under scale 1-4-1, failures, and kills between any two words to the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from time import monotonic

import msgspec
import pytest
import pytest_asyncio

from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from tests.integration.child_process import Child

WITHIN = 150.0
ENOUGH = 12
"""Deaths; starting a process takes longest."""
pytestmark = pytest.mark.timeout(400)


@pytest_asyncio.fixture
async def control(broker: Broker) -> AsyncIterator[ControlPlane]:
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as plane:
        yield plane


async def test_no_message_is_handled_before_its_predecessor_while_replicas_come_go_and_die(
    unique: str, child: Callable[..., Child], control: ControlPlane
) -> None:
    replicas = [child(script="ordering") for _ in range(4)]
    await replicas[0].start().ready()
    deadly = {"CHILD_DEADLINESS": "0.01", "CHILD_FAILS": "0.03"}
    for replica in replicas[1:]:
        await replica.start(**deadly).ready()
    deaths = number = 0
    until = monotonic() + WITHIN
    while deaths < ENOUGH:
        assert monotonic() < until, f"{deaths} deaths"
        number += 1
        await publish(control, unique, keys=60, numbers=[number])
        for replica in replicas[1:]:
            if replica.process.poll() is not None:
                deaths += 1
                replica.start(**deadly)
        await asyncio.sleep(0.2)
    for replica in replicas[1:]:
        replica.process.terminate()
    await eventually(lambda: is_done(control, unique), within=WITHIN, what="all is handled")
    check(replicas[0].effects, keys=60, each=number)


async def test_two_hundred_keys_are_handled_in_order_by_four_replicas_and_one_key_waits(
    unique: str, child: Callable[..., Child], control: ControlPlane
) -> None:
    bad = {"CHILD_BAD": "p-0"}
    replicas = [child(script="ordering").start(**bad) for _ in range(4)]
    for replica in replicas:
        await replica.ready()
    await publish(control, unique, keys=200, numbers=range(1, 21))
    others = 199 * 20
    await eventually(lambda: handled(replicas[0]) >= others, within=WITHIN, what="others flow")
    letters = control.history("DEADLETTERS", [f"deadletters.{unique}-tracking.>"])
    (letter,) = [each async for each in letters]
    for replica in replicas:
        replica.process.terminate()
    for replica in replicas:
        replica.process.wait()
    await replicas[0].start().ready()
    desk = Desk(control, by="test")
    await desk.send(await desk.prepare(await desk.open(letter.sequence)))
    await eventually(lambda: is_done(control, unique), within=WITHIN, what="all is handled")
    check(replicas[0].effects, keys=200, each=20)


def handled(child: Child) -> int:
    return sum(each.startswith("end,") for each in child.effects)


def check(effects: Iterable[str], *, keys: int, each: int) -> None:
    """Judge what is promised.

    No message begins before those before it have ended: always. None begins again behind a later
    one: unless its process stood still, so that its delivery was another one's by then.
    """
    effects = list(effects)
    stood = any(effect.startswith("stood,") for effect in effects)
    ended: dict[str, set[int]] = {}
    last: dict[str, int] = {}
    for what, key, text in (effect.split(",") for effect in effects):
        if what == "stood":
            continue
        number = int(text)
        done = ended.setdefault(key, set())
        if what == "end":
            done.add(number)
            continue
        assert done.issuperset(range(1, number)), f"{key}: {number} began, {sorted(done)} ended"
        newest = last.get(key, 0)
        assert newest <= number or stood, f"{key}: {number} began after {newest}"
        last[key] = max(newest, number)
    assert {key: len(done) for key, done in ended.items()} == {f"p-{n}": each for n in range(keys)}


async def publish(control: ControlPlane, unique: str, *, keys: int, numbers: Iterable[int]) -> None:
    for number in numbers:
        several = [
            control.publish(
                f"{unique}-in.moved.p-{key}",
                msgspec.json.encode({"parcel_id": f"p-{key}", "number": number}),
            )
            for key in range(keys)
        ]
        await asyncio.gather(*several)


async def is_done(control: ControlPlane, unique: str) -> bool:
    name = f"{unique}-tracking"
    info = await control.api(f"CONSUMER.INFO.{unique.upper()}_IN.{name}-follow")
    done = [each async for each in control.history(f"{unique.upper()}_OUT", [">"])]
    newest: dict[str, int] = {}
    for message in done:
        newest[message.subject] = msgspec.json.decode(message.payload)["number"]
    everything = info["delivered"]["stream_seq"]
    ids = {message.message_id for message in done}
    return bool(everything) and len(ids) == everything and not info["num_pending"]
