"""A trial of a mesh that runs: publish an example, and wait until its whole story is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from jetmesh.declare import EventSpec, Topology
from jetmesh.operate.example import unique_example
from jetmesh.operate.publish import publish
from jetmesh.operate.trace import Step, trace
from jetmesh.transport.control import ControlPlane

_PAUSE = 0.2


async def tried(
    control: ControlPlane, topology: Topology, spec: EventSpec, *, seconds: float
) -> tuple[str, list[Step]]:
    """The key of the published example and its story, when nobody has anything left to do.

    The story so far, with who is waited for, when that takes longer than `seconds`; none of an
    event without a key.

    Raises:
        UsageError: the contract declares no example.
        BrokerError: it cannot be stored.
    """
    key, checked = unique_example(spec)
    async for _ in publish(control, [checked]):
        pass
    return key, await _story(control, topology, key, seconds) if spec.key else []


async def _story(control: ControlPlane, topology: Topology, key: str, seconds: float) -> list[Step]:
    """Told twice alike: what was stored while the first was read is in the second."""
    until = time.monotonic() + seconds
    before: list[Step] = []
    while True:
        steps = await trace(control, topology, key)
        if (ended(steps) and steps == before) or time.monotonic() > until:
            return steps
        before = steps
        await asyncio.sleep(_PAUSE)


def ended(steps: Sequence[Step]) -> bool:
    """Whether nobody has anything left to do."""
    return bool(steps) and not any(step.waits for step in steps)


def failed(steps: Sequence[Step]) -> bool:
    """Whether something was given up."""
    return any(step.kind == "dead letter" for step in steps)
