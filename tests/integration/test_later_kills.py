"""Each deadline fires once, or was cancelled and never does: under kills at every step."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from time import monotonic

import msgspec
import pytest
import pytest_asyncio

from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.headers import DEADLINES, FOLLOWING
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage
from tests.integration.child_process import Child

REPLICAS = 3
ENOUGH = 12
"""Deaths; starting a process takes longest."""
BILLS = 80
WITHIN = 150.0
pytestmark = pytest.mark.timeout(300)


@pytest_asyncio.fixture
async def control(broker: Broker) -> AsyncIterator[ControlPlane]:
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as plane:
        yield plane


async def test_every_deadline_fires_once_or_was_cancelled(
    unique: str, child: Callable[..., Child], control: ControlPlane
) -> None:
    """Of what a state keeps nothing but guards can tell a repetition: the window is short."""
    domain = unique.upper()
    gentle = {
        f"JETMESH__STREAMS__{domain}_{name}__DUPLICATE_WINDOW": "100ms" for name in ("IN", "OUT")
    } | {"JETMESH__STREAMS__LANES__DUPLICATE_WINDOW": "100s"}
    replicas = [child(script="waiting").start(**gentle) for _ in range(REPLICAS)]
    for each in replicas:
        await each.ready()
    deadly = {**gentle, "CHILD_DEADLINESS": "0.02"}
    for each in replicas:
        each.process.kill()
        each.process.wait()
        each.start(**deadly)

    paying = asyncio.create_task(publish(control, unique))
    assert await killed_until_done(control, unique, replicas, deadly, gentle, paying) > REPLICAS
    await replay(control, unique)  # of what more than two processes died
    await eventually(lambda: is_done(control, unique), within=WITHIN, what="nothing waits")

    fired = Counter(m.subject.rpartition(".")[2] for m in await stored(control, f"{domain}_OUT"))
    history = by_key(await stored(control, f"STATES_{domain}_BILLS"))
    assert len(history) == BILLS
    for key, versions in history.items():
        assert DEADLINES not in versions[-1].headers, key
        assert fired[key] == firings(versions) <= 1, key
        assert fired[key] or bill(versions[-1])["paid"], key
        assert bill(versions[-1])["overdue"] == fired[key], key
    assert 0 < len(fired) < BILLS, "some are paid in time, some are not"
    nudged = Counter(
        m.subject.rpartition(".")[2] for m in await stored(control, f"{domain}_NUDGES")
    )
    assert nudged == {f"b-{number}": 1 for number in range(BILLS)}


async def publish(control: ControlPlane, unique: str) -> None:
    """Bills that are paid in time, at the very moment, or never."""

    async def one(number: int) -> None:
        key, within = f"b-{number}", random.uniform(0.5, 3.0)  # noqa: S311 - no secret
        body = msgspec.json.encode({"id": key, "within": within})
        await control.publish(f"{unique}-in.opened.{key}", body)
        if number % 4:
            early = number % 4 == 1
            await asyncio.sleep(within * (0.3 if early else random.uniform(0.9, 1.2)))  # noqa: S311 - as above
            await control.publish(f"{unique}-in.paid.{key}", msgspec.json.encode({"id": key}))

    await asyncio.gather(*(one(number) for number in range(BILLS)))


async def killed_until_done(
    control: ControlPlane,
    unique: str,
    replicas: list[Child],
    deadly: dict[str, str],
    gentle: dict[str, str],
    publishing: asyncio.Task[None],
) -> int:
    """Start what dies again until everything has its verdict; how often something died."""
    deaths, until = 0, monotonic() + WITHIN
    while not publishing.done() or not await is_done(control, unique):
        assert monotonic() < until, "deadlines are still waiting"
        for each in replicas:
            if each.process.poll() is not None:
                deaths += 1
                each.start(**(deadly if deaths < ENOUGH else gentle))
        await asyncio.sleep(0.1)
    await publishing
    return deaths


async def replay(control: ControlPlane, unique: str) -> None:
    desk = Desk(control, by="test")
    letters = control.history("DEADLETTERS", [f"deadletters.{unique}-desk.>"])
    for message in [each async for each in letters]:
        await desk.send(await desk.prepare(await desk.open(message.sequence)))


async def is_done(control: ControlPlane, unique: str) -> bool:
    lanes = f"LANES_{unique}-desk"
    for handler, stream in (
        ("wait", "IN"),
        ("settle", "IN"),
        ("nudge", "IN"),
        ("expire", "OUT"),
    ):
        for each in (f"{unique.upper()}_{stream}", lanes):
            info = await control.api(f"CONSUMER.INFO.{each}.{unique}-desk-{handler}")
            if info["num_pending"] or info["num_ack_pending"]:
                return False
    waiting = await control.subjects(lanes, f"lanes.{unique}-desk.*.*.*.>")
    return not waiting


async def stored(control: ControlPlane, stream: str) -> list[StoredMessage]:
    return [message async for message in control.history(stream, [">"])]


def by_key(messages: list[StoredMessage]) -> dict[str, list[StoredMessage]]:
    found: dict[str, list[StoredMessage]] = {}
    for message in messages:
        found.setdefault(message.subject.rpartition(".")[2], []).append(message)
    return found


def bill(message: StoredMessage) -> dict[str, object]:
    if not message.payload:
        return {"paid": False, "overdue": 0}
    found: dict[str, object] = msgspec.json.decode(message.payload)
    return found


def firings(versions: list[StoredMessage]) -> int:
    """How often a step says that its deadline's event follows."""
    return sum(FOLLOWING in version.headers for version in versions)
