"""The ack floors: below one, states need not remember inputs one by one, and orders no key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from jetmesh.declare import Handler, Topology
from jetmesh.errors import BrokerError
from jetmesh.protocol.steps import Floor
from jetmesh.protocol.times import nanoseconds_of
from jetmesh.runtime.message.metrics import HandlerStats
from jetmesh.runtime.message.ordered.order import Order
from jetmesh.runtime.message.states.remembering import StateRunner
from jetmesh.transport.seam import Control

_USUAL_SECONDS: Final = 1.0
_SOONEST_SECONDS: Final = 0.005
_LATEST_SECONDS: Final = 0.5
"""Between two looks at a floor that stands still, while somebody waits for it."""
_CLOCKS_NS: Final = 1_000_000_000
"""By less than this the clocks of a cluster's servers differ."""


class Floored(Protocol):
    """A handler that has to know what is settled."""

    handler: Handler
    stats: HandlerStats

    @property
    def floor(self) -> Floor:
        """What is known to be settled."""

    @property
    def wants_floor(self) -> asyncio.Event:
        """Set when it may be higher than is known, and that matters."""

    def floor_is_known(self, floor: Floor) -> None:
        """Everything of its durable up to there has its verdict."""


async def watch_floor(runner: Floored, topology: Topology, control: Control) -> None:
    """Keep a runner's floor up to date, for ever; nothing is asked while it handles nothing."""
    spec = topology.durable_of(runner.handler)
    acked, pause = -1, _SOONEST_SECONDS
    while True:
        try:
            async with asyncio.timeout(_USUAL_SECONDS):
                await runner.wants_floor.wait()
        except TimeoutError:
            if runner.stats.acked == acked:
                continue
        runner.wants_floor.clear()
        acked = runner.stats.acked
        try:
            info = await control.api(f"CONSUMER.INFO.{spec.stream}.{spec.name}")
        except BrokerError:
            acked = -1  # whoever watches the durable says so
        else:
            floor = info["ack_floor"]["stream_seq"]
            stands = floor == runner.floor.sequence
            pause = min(2 * pause, _LATEST_SECONDS) if stands else _SOONEST_SECONDS
            runner.floor_is_known(Floor(floor, nanoseconds_of(info["ts"]) + _CLOCKS_NS))
        await asyncio.sleep(pause)


def watching(
    runners: Sequence[object], topology: Topology, control: Control
) -> list[asyncio.Task[None]]:
    """A task for each runner that remembers, and for each order."""
    return [
        asyncio.create_task(watch_floor(runner, topology, control))
        for runner in runners
        if isinstance(runner, StateRunner | Order)
    ]
