"""The streams and durables of a service: made by itself, or waited for, as settings say."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import structlog

from jetmesh.declare import Topology
from jetmesh.errors import BrokerError, DriftError
from jetmesh.transport.beginnings import log_first_starts
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import Plan, apply, plan
from jetmesh.transport.stored import TooOldError

_LOOK_SECONDS: Final = 1.0
_LONGER_SECONDS: Final = 0.25
"""So much longer each time."""
_LONGEST_LOOK_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 0.05

log = structlog.get_logger()


async def wait_for_jetstream(control: ControlPlane, say: Callable[[str], None]) -> None:
    """Return once JetStream answers; `say` hears why it does not yet.

    Raises:
        TooOldError: it answers and is too old.
    """
    said = ""
    while True:
        try:
            await control.check_server()
        except TooOldError:
            raise
        except BrokerError as error:
            said = _report(f"waiting for JetStream: {error}", said, say)
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            return


async def provision(
    control: ControlPlane, topology: Topology, *, applies: bool, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Return once the server holds what is declared: what it says of each durable, by its path.

    `say` hears what it lacks meanwhile. With `applies` it is made here, unless that is refused;
    then, and without, somebody who may has to make it.

    Many processes may start together, and wait together for somebody to make it: each stream and
    durable is asked for once, and again only while it is missing or different.
    """
    known: dict[str, dict[str, Any]] = {}
    said, left = "", topology
    for pause in _pauses():
        try:
            planned = await plan(control, left)
            known |= planned.known
            left = topology.only({change.name for change in planned.changes})
            if applies and planned.changes:
                await _apply(control, left, planned)
                planned = await plan(control, left)
                known |= planned.known
            if not planned.changes:
                log_first_starts(topology, known)
                return known
            difference = "; ".join(map(str, planned.changes))
            text = f"the server differs from the declaration: {difference}; run jetmesh apply"
        except BrokerError as error:
            text = f"the server does not hold what is declared: {error}"
        said = _report(text, said, say)
        await asyncio.sleep(pause)
    raise AssertionError("there is always another pause")


def _pauses() -> Iterator[float]:
    for rounds in itertools.count():
        most = min(_LOOK_SECONDS + rounds * _LONGER_SECONDS, _LONGEST_LOOK_SECONDS)
        yield most * random.uniform(0.5, 1)  # noqa: S311 - jitter is no secret


async def _apply(control: ControlPlane, topology: Topology, planned: Plan) -> None:
    try:
        await apply(control, planned)
    except DriftError:
        # another process may have made the same thing just now: look again before it counts
        await asyncio.sleep(_AGAIN_SECONDS)
        await apply(control, await plan(control, topology))


def _report(text: str, before: str, say: Callable[[str], None]) -> str:
    if text != before:
        log.warning("not started yet", reason=text)
        say(text)
    return text
