"""A message that kills the process is found out and dead-lettered, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.message.quarantine import DEATHS
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from tests.integration.child_process import Child

HANDLERS = ("count", "work")
DIED = 77


def quick(domain: str) -> dict[str, str]:
    """Settings with which what a dead process had comes again soon."""
    start = f"JETMESH__SERVICES__{domain.upper()}_SERVICE__HANDLERS"
    return {
        f"{start}__{handler.upper()}__{name}": "1s"
        for handler in HANDLERS
        for name in ("ACK_WAIT", "TIMEOUT")
    }


@pytest.fixture
async def control(broker: Broker) -> AsyncIterator[ControlPlane]:
    plane = await ControlPlane.connect(NatsSettings(url=broker.url), name="test")
    async with plane:
        yield plane


async def pending(control: ControlPlane, domain: str) -> int:
    total = 0
    for handler in HANDLERS:
        for stream in (f"{domain}-in".upper().replace("-", "_"), f"LANES_{domain}-service"):
            info = await control.api(f"CONSUMER.INFO.{stream}.{domain}-service-{handler}")
            total += info["num_pending"] + info["num_ack_pending"]
    return total


async def letters(control: ControlPlane, domain: str) -> list[Any]:
    return [m async for m in control.history("DEADLETTERS", [f"deadletters.{domain}-service.>"])]


async def marks(control: ControlPlane, domain: str) -> list[Any]:
    return [
        m
        async for m in control.history(
            f"LANES_{domain}-service", [f"lanes.{domain}-service.*.*.*.suspect"]
        )
    ]


async def run_until_settled(
    child: Callable[..., Child], control: ControlPlane, domain: str, does: str
) -> int:
    """Start the service again whenever it died; how often it did."""
    deaths = 0
    async with asyncio.timeout(60):
        while True:
            one = child().start(does, **quick(domain))
            while one.process.poll() is None:
                await asyncio.sleep(0.05)
                if one.logged.count("started") and not await pending(control, domain):
                    one.process.terminate()
                    assert await one.ended() == 0
                    return deaths
            assert one.process.returncode == DIED, one.stderr
            deaths += 1


@pytest.mark.parametrize(("does", "handler"), [("dies inline", "count"), ("dies", "work")])
async def test_only_the_poison_is_dead_lettered(
    child: Callable[..., Child], control: ControlPlane, unique: str, does: str, handler: str
) -> None:
    first = child().start(**quick(unique))
    await first.ready()
    first.process.terminate()
    await first.ended()
    for n in range(20):
        name = "poison" if n == 10 else f"fine-{n}"
        body = f'{{"order_id": "{name}"}}'.encode()
        await control.publish(f"{unique}-in.placed.{name}", body)
    deaths = await run_until_settled(child, control, unique, does)
    (letter,) = await letters(control, unique)
    assert letter.headers["Jetmesh-Error"] == "Poison"
    assert letter.headers["Jetmesh-Handler"] == handler
    assert letter.payload == b'{"order_id": "poison"}'
    assert DEATHS <= deaths <= 2 * DEATHS
    counted = [m.subject async for m in control.history(unique.upper(), [">"])]
    worked = [m.subject async for m in control.history(f"{unique}_LOG".upper(), [">"])]
    missing = 1 if handler == "count" else 0
    assert len(set(counted)) == len(counted) == 20 - missing
    assert len(set(worked)) == 20 - (1 - missing)
    assert await marks(control, unique) == []


async def test_what_is_killed_again_and_again_beside_others_is_no_poison(
    child: Callable[..., Child], control: ControlPlane, unique: str
) -> None:
    """SIGKILLs while everything is in flight make all of them suspects, and none is guilty."""
    first = child().start(**quick(unique))
    await first.ready()
    first.process.terminate()
    await first.ended()
    for n in range(20):
        await control.publish(f"{unique}-in.placed.p-{n}", f'{{"order_id": "p-{n}"}}'.encode())
    for more in (0, 0, 0, 3, 1):
        await kill_after(child().start("" if more else "hangs", **quick(unique)), more)
    assert await run_until_settled(child, control, unique, "") == 0
    assert await letters(control, unique) == []
    assert await marks(control, unique) == []
    worked = {m.subject async for m in control.history(f"{unique}_LOG".upper(), [">"])}
    assert len(worked) == 20


async def kill_after(one: Child, effects: int) -> None:
    """SIGKILL, once so many more effects and one have begun."""
    before = len(one.effects) + effects
    await eventually(lambda: len(one.effects) > before, within=20, what="work")
    one.process.kill()
    one.process.wait()
