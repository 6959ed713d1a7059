"""Each input changes its key's state once, and so does what follows: under kills at every step."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from tests.integration.child_process import Child

REPLICAS = 3
ENOUGH = 9
"""Deaths; starting a process takes longest."""
WITHIN = 150.0
LONG = os.environ.get("STATE_KILLS", "")
"""Instead of what every run tries: `10000x300x100` is inputs, keys and deaths (`make kills`)."""
GIVEN = [tuple(map(int, LONG.split("x")))] if LONG else [(120, 12, ENOUGH), (400, 1, ENOUGH)]
WORDS = 4
"""About so many words to the broker take an input to its end."""
pytestmark = pytest.mark.timeout(7200 if LONG else 300)


@pytest_asyncio.fixture
async def control(broker: Broker) -> AsyncIterator[ControlPlane]:
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as plane:
        yield plane


@pytest.mark.parametrize(("inputs", "keys", "deaths"), GIVEN)
async def test_every_input_is_in_its_state_once_and_what_follows_is_stored_once(
    unique: str,
    child: Callable[..., Child],
    control: ControlPlane,
    inputs: int,
    keys: int,
    deaths: int,
) -> None:
    """In a window of a tenth of a second nothing but guards can tell a repetition."""
    windows = {
        f"JETMESH__STREAMS__{unique.upper()}_{name}__DUPLICATE_WINDOW": "100ms"
        for name in ("IN", "TIERS", "THANKS")
    }
    replicas = [child(script="remembering").start(**windows) for _ in range(REPLICAS)]
    for each in replicas:
        await each.ready()
    for each in replicas:
        each.process.kill()
        each.process.wait()
    given = await publish(control, unique, inputs, keys)
    deadly = {
        **windows,
        "CHILD_DEADLINESS": str(min(0.03, deaths / (WORDS * inputs))),
        "CHILD_FAILS": "0.05",
    }
    within = WITHIN + inputs / 5
    died = await killed_until_done(control, unique, replicas, deadly, windows, deaths, within)
    logging.getLogger(__name__).info("%s inputs, %s keys, %s deaths", inputs, keys, died)
    assert died > REPLICAS

    for each in replicas:
        each.process.kill()
        each.process.wait()
        each.start(**windows)
    await replay(control, unique)  # of what more than two processes died
    await eventually(lambda: is_done(control, unique), within=within, what="nothing waits")

    accounts = await events(control, f"STATES_{unique.upper()}_ACCOUNTS")
    newest = {each["customer_id"]: each for each in accounts}
    assert {c: (a["points"], a["returned"]) for c, a in newest.items()} == given
    told: dict[str, list[int]] = {}
    for tier in await events(control, f"{unique.upper()}_TIERS"):
        told.setdefault(tier["customer_id"], []).append(tier["tier"])
    assert told == {c: [*range(1, n // 3 + 1)] for c, (n, _) in given.items() if n >= 3}
    thanks = await events(control, f"{unique.upper()}_THANKS")
    thanked = Counter(each["purchase_id"] for each in thanks)
    assert thanked == {f"p-{number}": 1 for number in range(inputs) if number % 5}


async def test_replicas_that_race_for_one_key_store_each_step_and_all_that_follows(
    unique: str, child: Callable[..., Child], control: ControlPlane
) -> None:
    replicas = [child(script="remembering").start() for _ in range(REPLICAS)]
    for each in replicas:
        await each.ready()
    for _ in range(4):  # not all at once, or the first one would have handled it alone
        given = await publish(control, unique, 200, 1)
    await eventually(lambda: is_done(control, unique), within=60, what="nothing waits")
    accounts = await events(control, f"STATES_{unique.upper()}_ACCOUNTS")
    points, returned = given["c-0"]
    assert (accounts[-1]["points"], accounts[-1]["returned"]) == (4 * points, 4 * returned)
    tiers = await events(control, f"{unique.upper()}_TIERS")
    assert [each["tier"] for each in tiers] == [*range(1, 4 * points // 3 + 1)]
    assert len(await events(control, f"{unique.upper()}_THANKS")) == 4 * points


async def publish(
    control: ControlPlane, unique: str, inputs: int, keys: int
) -> dict[str, tuple[int, int]]:
    """All that is to be handled; by customer how much of either."""
    expected: dict[str, tuple[int, int]] = {}
    sent = []
    for number in range(inputs):
        customer = f"c-{random.randrange(keys)}"  # noqa: S311 - no secret
        points, returned = expected.get(customer, (0, 0))
        kind = "captured" if number % 5 else "returned"
        expected[customer] = (points + 1, returned) if number % 5 else (points, returned + 1)
        body = msgspec.json.encode({"purchase_id": f"p-{number}", "customer_id": customer})
        sent.append(control.publish(f"{unique}-in.{kind}.p-{number}", body))
    for start in range(0, inputs, 100):
        await asyncio.gather(*sent[start : start + 100])
    return expected


async def killed_until_done(
    control: ControlPlane,
    unique: str,
    replicas: list[Child],
    deadly: dict[str, str],
    gentle: dict[str, str],
    enough: int,
    within: float,
) -> int:
    """Start what dies again until everything has its verdict; how often something died."""
    deaths, until = 0, monotonic() + within
    while not await is_done(control, unique):
        assert monotonic() < until, "inputs are still waiting"
        for each in replicas:
            if each.process.poll() is not None:
                deaths += 1
                each.start(**(deadly if deaths < enough else gentle))
        await asyncio.sleep(0.1)
    return deaths


async def replay(control: ControlPlane, unique: str) -> None:
    desk = Desk(control, by="test")
    letters = control.history("DEADLETTERS", [f"deadletters.{unique}-loyalty.>"])
    for message in [each async for each in letters]:
        await desk.send(await desk.prepare(await desk.open(message.sequence)))


async def is_done(control: ControlPlane, unique: str) -> bool:
    for stream in (f"{unique.upper()}_IN", f"LANES_{unique}-loyalty"):
        for handler in ("award", "take_back"):
            info = await control.api(f"CONSUMER.INFO.{stream}.{unique}-loyalty-{handler}")
            if info["num_pending"] or info["num_ack_pending"]:
                return False
    retries = await control.subjects(f"LANES_{unique}-loyalty", "lanes.*.*.*.*.retry")
    return not retries


async def events(control: ControlPlane, stream: str) -> list[dict[str, Any]]:
    return [
        msgspec.json.decode(message.payload)
        async for message in control.history(stream, [">"])
        if message.payload  # nothing is remembered of a key whose first input failed
    ]
