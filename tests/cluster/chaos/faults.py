"""The faults, each with its injection and its healing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.cluster.chaos.nodes import Node
from tests.cluster.chaos.scene import SERVICES, Scene

_LED: Final = ("PURCHASES", "ORDERS", "LANES_fulfilment", "CURSORS_tracking")
"""What somebody leads: events, deadlines that wait, and how far an ordered handler has come."""
_LEADER: Final = "the leader of purchases, orders, fulfilment's deadlines or tracking's cursors"
_POISONS: Final = 2
_GARBAGE: Final = 20
_ROUNDS: Final = 2
"""How often each service is killed."""
_DEATH_SECONDS: Final = (0.2, 1.0)
"""Between two kills."""

Body = Callable[[Scene, Random], AsyncIterator[str]]


@dataclass(frozen=True, slots=True)
class Fault:
    """`async with fault.happening(scene, chance) as victim:` injects, and heals at the end."""

    name: str
    what: str
    """What is done, in words."""
    hold: tuple[float, float]
    """The least and most seconds between injection and healing."""
    happening: Callable[[Scene, Random], AbstractAsyncContextManager[str]]
    needs_network: bool = False
    """It needs namespaces or mounts, so root."""
    kills: frozenset[str] = frozenset()
    """Services whose processes die of it."""
    of_broker: bool = False
    """It meets the servers, not what runs on them."""


FAULTS: Final[dict[str, Fault]] = {}


def _fault(
    name: str,
    what: str,
    hold: tuple[float, float] = (0.0, 0.0),
    *,
    needs_network: bool = False,
    kills: tuple[str, ...] = (),
    of_broker: bool = False,
) -> Callable[[Body], Body]:
    def declare(body: Body) -> Body:
        happening = asynccontextmanager(body)
        dying = frozenset(kills)
        FAULTS[name] = Fault(name, what, hold, happening, needs_network, dying, of_broker)
        return body

    return declare


def together(first: Fault, second: Fault) -> Fault:
    """Both at once, each healed after its own time."""

    async def live(fault: Fault, scene: Scene, chance: Random) -> str:
        async with fault.happening(scene, chance) as victim:
            await asyncio.sleep(chance.uniform(*fault.hold))
        return victim

    @asynccontextmanager
    async def happening(scene: Scene, chance: Random) -> AsyncIterator[str]:
        chances = [Random(chance.random()) for _ in range(2)]  # noqa: S311 - repeatable, not secret
        lives = [
            asyncio.create_task(live(fault, scene, own))
            for fault, own in zip((first, second), chances, strict=True)
        ]
        try:
            yield "; ".join(await asyncio.gather(*lives))
        finally:
            for each in lives:
                each.cancel()
            await asyncio.gather(*lives, return_exceptions=True)

    return Fault(
        f"{first.name} + {second.name}",
        f"{first.what}; and {second.what}",
        (0.0, 0.0),
        happening,
        first.needs_network or second.needs_network,
        first.kills | second.kills,
    )


async def _leader(scene: Scene, chance: Random) -> tuple[Node, str]:
    """A server, and what it is."""
    stream = chance.choice(_LED)
    node = await scene.cluster.leader_of(stream)
    return node, f"{node.name}, {stream}"


# the broker


@_fault("leader-killed", f"kill -9 of {_LEADER}", (5, 15), of_broker=True)
async def leader_killed(scene: Scene, chance: Random) -> AsyncIterator[str]:
    node, name = await _leader(scene, chance)
    node.kill()
    try:
        yield name
    finally:
        node.start()


@_fault(
    "leader-frozen",
    f"SIGSTOP of {_LEADER}: its connections stay open, silent",
    (7, 15),
    of_broker=True,
)
async def leader_frozen(scene: Scene, chance: Random) -> AsyncIterator[str]:
    node, name = await _leader(scene, chance)
    node.freeze()
    try:
        yield name
    finally:
        node.thaw()


@_fault(
    "leader-isolated",
    f"the cable of {_LEADER} is pulled: nobody reaches it",
    (7, 20),
    needs_network=True,
    of_broker=True,
)
async def leader_isolated(scene: Scene, chance: Random) -> AsyncIterator[str]:
    node, name = await _leader(scene, chance)
    node.isolate()
    try:
        yield name
    finally:
        node.join()


@_fault("all-killed", "kill -9 of all three servers at once", (2, 10), of_broker=True)
async def all_killed(scene: Scene, _: Random) -> AsyncIterator[str]:
    for node in scene.cluster.nodes:
        node.kill()
    try:
        yield "n1, n2, n3"
    finally:
        for node in scene.cluster.nodes:
            node.start()


@_fault(
    "disk-full",
    f"the disk of {_LEADER} is full; then room is made and it restarts",
    (6, 15),
    needs_network=True,
    of_broker=True,
)
async def disk_full(scene: Scene, chance: Random) -> AsyncIterator[str]:
    node, name = await _leader(scene, chance)
    async with _filled(node):
        yield name


@_fault(
    "disks-full",
    "the disks of all three are full; then room is made and all restart",
    (6, 15),
    needs_network=True,
    of_broker=True,
)
async def disks_full(scene: Scene, _: Random) -> AsyncIterator[str]:
    first, second, third = scene.cluster.nodes
    async with _filled(first), _filled(second), _filled(third):
        yield "n1, n2, n3"


@asynccontextmanager
async def _filled(node: Node) -> AsyncIterator[None]:
    assert node.disk is not None
    node.disk.fill()
    try:
        yield
    finally:
        node.disk.free()
        node.kill()  # "JetStream not enabled" until its process is another one
        node.start()


@_fault(
    "rolling-lame-duck",
    "each server in turn leaves in lame duck mode and comes back",
    of_broker=True,
)
async def rolling_lame_duck(scene: Scene, chance: Random) -> AsyncIterator[str]:
    yield await _rolled(scene, chance, signal.SIGUSR2)


@_fault("rolling-restart", "each server in turn gets SIGTERM and comes back", of_broker=True)
async def rolling_restart(scene: Scene, chance: Random) -> AsyncIterator[str]:
    yield await _rolled(scene, chance, signal.SIGTERM)


async def _rolled(scene: Scene, chance: Random, number: signal.Signals) -> str:
    nodes = chance.sample(scene.cluster.nodes, len(scene.cluster.nodes))
    for node in nodes:
        await node.end(number)
        node.start()
        await scene.cluster.healthy()
    return ", ".join(node.name for node in nodes)


# the services


@_fault(
    "services-killed",
    "SIGKILL of every service, twice each, at random moments",
    kills=SERVICES,
)
async def services_killed(scene: Scene, chance: Random) -> AsyncIterator[str]:
    victims = list(SERVICES) * _ROUNDS
    chance.shuffle(victims)
    for name in victims:
        await asyncio.sleep(chance.uniform(*_DEATH_SECONDS))
        scene.shop.service(name).kill()
    yield ", ".join(victims)


@_fault("services-replaced", "of each service a new process starts, then the old gets SIGTERM")
async def services_replaced(scene: Scene, chance: Random) -> AsyncIterator[str]:
    names = chance.sample([each.name for each in scene.shop.services], len(scene.shop.services))
    for name in names:
        await scene.shop.service(name).replace()
    yield ", ".join(names)


@_fault("poison", "purchases that kill the process of whoever packs them", kills=("packing",))
async def poison(scene: Scene, chance: Random) -> AsyncIterator[str]:
    keys = []
    for _ in range(_POISONS):
        keys.append(scene.load.poison())
        await asyncio.sleep(chance.uniform(0.0, 1.0))
    yield ", ".join(keys)


@_fault("garbage", "bytes that are no purchase, on purchases.created")
async def garbage(scene: Scene, chance: Random) -> AsyncIterator[str]:
    for _ in range(_GARBAGE):
        scene.load.garbage()
        await asyncio.sleep(chance.uniform(0.0, 0.1))
    yield f"{_GARBAGE} messages"


# what the services depend on


@_fault("gateway-down", "nobody listens where the payment gateway was", (5, 15))
async def gateway_down(scene: Scene, _: Random) -> AsyncIterator[str]:
    scene.shop.gateway.down()
    try:
        yield "sandbox-gateway"
    finally:
        scene.shop.gateway.start()


@_fault("mail-down", "nobody listens where the mail server was", (5, 15))
async def mail_down(scene: Scene, _: Random) -> AsyncIterator[str]:
    scene.shop.mail.down()
    try:
        yield "sandbox-mail"
    finally:
        scene.shop.mail.start()
