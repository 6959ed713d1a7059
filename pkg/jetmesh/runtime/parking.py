"""What waits in ordered handlers behind a message that failed, asked now and then (ADR-0036).

Every replica says the same: what is parked is in the streams, whoever put it there.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Final

from jetmesh.errors import BrokerError
from jetmesh.runtime.message.ordered.order import Order
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.lookups import LookUps
from jetmesh.transport.parked import waiting_keys

_LOOK_SECONDS: Final = 5.0


async def watch_parked(orders: Sequence[Order], control: ControlPlane, looks: LookUps) -> None:
    """Keep what is told of each order up to date, for ever."""
    while True:
        for order in orders:
            try:
                await _look(order, control, looks)
            except BrokerError:
                continue  # whoever watches the durable says so
        # many processes that started together are not to ask together for ever
        await asyncio.sleep(_LOOK_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - as it says


async def _look(order: Order, control: ControlPlane, looks: LookUps) -> None:
    keys, found = await waiting_keys(control, order.handler)
    failed = [each for each in found if each.failed]
    counts = [
        await looks.count(each.stream, f"{each.subject}.{each.token}", each.first)
        for each in failed
    ]
    order.parked.keys = keys - len(found) + len(failed)
    order.parked.messages = sum(counts)
    order.parked.behind = next((each.behind for each in failed), "")
