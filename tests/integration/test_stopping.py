"""SIGTERM under full load, thousands of deliveries in flight: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable

from jetmesh.operate.up.broker import Broker
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from tests.integration.child_process import Child
from tests.integration.planes import both, publish, settings_of

COUNT = 4500
AT_ONCE = 3000


async def backlog(plane: DataPlane, domain: str) -> list[str]:
    keys = [f"p-{number}" for number in range(COUNT)]
    for start in range(0, COUNT, 1000):
        some = keys[start : start + 1000]
        told = (
            publish(plane, f"{domain}-in.placed.{key}", b'{"order_id":"%b"}' % key.encode())
            for key in some
        )
        await asyncio.gather(*told)
    return keys


async def outcomes(control: ControlPlane, domain: str) -> tuple[Counter[str], Counter[str]]:
    """How often each key was counted, and worked on, as the streams tell."""

    async def keys(stream: str) -> Counter[str]:
        return Counter([m.subject.rpartition(".")[2] async for m in control.history(stream, [">"])])

    return await keys(domain.upper()), await keys(f"{domain.upper()}_LOG")


async def in_flight(service: Child, handler: str) -> float:
    _, metrics = await service.get("/metrics")
    found = re.search(rf'jetmesh_in_flight{{handler="{handler}".*}} (\S+)', metrics) or re.search(
        rf'jetmesh_in_flight{{.*handler="{handler}"}} (\S+)', metrics
    )
    return float(found[1]) if found else 0.0


async def busy(service: Child) -> bool:
    return await in_flight(service, "work") >= 2000


def wide(unique: str) -> dict[str, str]:
    """Settings that let thousands run at once; what is not given back comes after five minutes."""
    handlers = f"JETMESH__SERVICES__{unique.upper()}_SERVICE__HANDLERS"
    waits = {f"{handlers}__{name}__ACK_WAIT": "5m" for name in ("COUNT", "WORK")}
    return {f"{handlers}__WORK__CONCURRENCY": str(AT_ONCE), **waits}


async def check_the_rest_is_done_by_the_next(
    child: Callable[..., Child], broker: Broker, control: ControlPlane, unique: str
) -> None:
    """Soon, not after an ack_wait; and then each key has one outcome of each handler."""
    second = child(broker.url).start(**wide(unique))

    async def all_done() -> bool:
        infos = [
            await control.api(f"CONSUMER.INFO.{unique.upper()}_IN.{unique}-service-{name}")
            for name in ("count", "work")
        ]
        return not any(info["num_pending"] or info["num_ack_pending"] for info in infos)

    await eventually(all_done, within=60, what="all the work")
    second.process.terminate()
    assert await second.ended() == 0


async def test_thousands_in_flight_are_finished_within_the_grace_period(
    child: Callable[..., Child], own_broker: Broker, unique: str
) -> None:
    async with both(settings_of(own_broker)) as (plane, control):
        first = child(own_broker.url).start("is slow", **wide(unique))
        await first.ready()
        keys = await backlog(plane, unique)
        await eventually(lambda: busy(first), what="thousands in flight")
        first.process.terminate()
        assert await first.ended() == 0
        assert "given back unfinished" not in first.logged
        assert first.logged[-1] == "stopped"
        before = len(first.effects)
        assert 2000 <= before < COUNT

        await check_the_rest_is_done_by_the_next(child, own_broker, control, unique)
        assert Counter(first.effects) == Counter(keys), "no effect happened twice"
        once = dict.fromkeys(keys, 1)
        assert await outcomes(control, unique) == (once, once)


async def test_thousands_that_cannot_be_finished_are_given_back_at_once(
    child: Callable[..., Child], own_broker: Broker, unique: str
) -> None:
    async with both(settings_of(own_broker)) as (plane, control):
        first = child(own_broker.url).start("hangs", JETMESH__GRACE="200ms", **wide(unique))
        await first.ready()
        keys = await backlog(plane, unique)
        await eventually(lambda: busy(first), what="thousands in flight")
        first.process.terminate()
        assert await first.ended() == 0
        assert "given back unfinished" in first.logged

        await check_the_rest_is_done_by_the_next(child, own_broker, control, unique)
        once = dict.fromkeys(keys, 1)
        assert await outcomes(control, unique) == (once, once)


async def test_a_second_signal_ends_at_once_also_with_thousands_in_flight(
    child: Callable[..., Child], own_broker: Broker, unique: str
) -> None:
    async with both(settings_of(own_broker)) as (plane, _):
        service = child(own_broker.url).start("hangs", JETMESH__GRACE="60s", **wide(unique))
        await service.ready()
        await backlog(plane, unique)
        await eventually(lambda: busy(service), what="thousands in flight")
        service.process.terminate()
        await eventually(lambda: "stopping" in service.logged, what="the first signal")
        service.process.terminate()
        assert await service.ended(within=30) == 1
